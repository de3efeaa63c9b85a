// SPDX-License-Identifier: Apache-2.0
// The weights that execute moves: a pattern that can be recomputed anywhere from (seed, layer,
// logical expert, tensor, offset), so that one misplaced byte is found and named.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "moeshift/core/ids.hpp"
#include "moeshift/core/matrix.hpp"
#include "moeshift/core/units.hpp"
#include "moeshift/model/expert_sizes.hpp"

namespace moeshift {

struct MoeModel;

/// Tensors of a slot start at multiples of this, and so do slots.
inline constexpr std::int64_t kTensorAlignment = 16;

/// One tensor of an expert inside its slot.
struct TensorRange {
  std::string name;
  Bytes offset;  ///< from the start of the slot, a multiple of kTensorAlignment
  Bytes bytes;   ///< rounded up to kTensorAlignment
};

/// How one expert's tensors lie in a slot: contiguous, so that an expert is one message.
struct SlotLayout {
  std::vector<TensorRange> tensors;
  Bytes slot_bytes;  ///< of one expert, padding (< 16 bytes per tensor) included
};

/// The layouts of all experts: one as a rule, several in models of mixed precision.
class ExpertLayouts {
 public:
  /// All experts of all layers are alike. Implicit: the usual case reads as before.
  ExpertLayouts(SlotLayout layout = {});
  /// @param which [layers, experts] index into `layouts`, which have equally many tensors.
  ExpertLayouts(std::vector<SlotLayout> layouts, IdMatrix<LayerId, ExpertId, std::uint32_t> which);

  [[nodiscard]] const SlotLayout& of(std::size_t layer, ExpertId expert) const {
    return layouts_[which_.rows() == 0 ? 0 : which_(LayerId(layer), expert)];
  }
  [[nodiscard]] std::size_t tensors() const { return layouts_.front().tensors.size(); }
  /// All experts have one layout.
  [[nodiscard]] bool uniform() const { return layouts_.size() == 1; }
  /// What a plan must say about the experts.
  [[nodiscard]] ExpertSizes sizes() const;

 private:
  std::vector<SlotLayout> layouts_;
  IdMatrix<LayerId, ExpertId, std::uint32_t> which_;  ///< empty: all have the first one
};

/// The layouts of layers first .. last-1 of `model`: an expert of other bytes than its tensors add
/// up to has each of them larger or smaller in proportion; all are shrunk to `scale` of their bytes
/// (at least 16).
/// @throws InputError unless 0 < scale <= 1.
[[nodiscard]] ExpertLayouts expert_layouts(const MoeModel& model, std::size_t first,
                                           std::size_t last, double scale = 1.0);

/// One nameless tensor of `bytes` (rounded up), for tests and benchmarks.
[[nodiscard]] SlotLayout single_tensor_layout(Bytes bytes);

/// Whose weights a slot should hold.
struct PatternKey {
  std::uint64_t seed = 0;
  LayerId layer;
  ExpertId expert;
};

/// splitmix64's finaliser. constexpr so that device code may call it (nvcc: relaxed constexpr).
constexpr std::uint64_t mix_well(std::uint64_t z) {
  z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27U)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31U);
}

/// Where the pattern of one tensor of one expert starts.
constexpr std::uint64_t tensor_key(std::uint64_t seed, std::uint32_t layer, std::uint32_t expert,
                                   std::uint32_t tensor) {
  std::uint64_t key = mix_well(seed + 0x9e3779b97f4a7c15ULL);
  key = mix_well(key ^ ((std::uint64_t{layer} << 32U) | expert));
  return mix_well(key + tensor);
}

/// The `index`-th 8-byte word of a tensor (little endian in memory). One multiplication: runs at
/// memory speed.
constexpr std::uint64_t pattern_word(std::uint64_t key, std::uint64_t index) {
  std::uint64_t z = key + index * 0x9e3779b97f4a7c15ULL;
  z ^= z >> 32U;
  z *= 0xd6e8feb86659fd93ULL;
  return z ^ (z >> 32U);
}

}  // namespace moeshift
