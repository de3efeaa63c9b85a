// SPDX-License-Identifier: Apache-2.0
// A caller's own weights, in memory of any kind, and a check that owes nothing to the engine.
#pragma once

#include <algorithm>
#include <functional>
#include <list>
#include <span>
#include <vector>

#include "moeshift/core/rng.hpp"
#include "moeshift/execute/caller_weights.hpp"
#include "moeshift/execute/pattern.hpp"
#include "moeshift/model/placement.hpp"

namespace moeshift::test {

/// Where tensors lie, and how a test gets at their bytes.
struct TensorMemory {
  std::function<std::byte*(RankId rank, std::size_t bytes)> allocate;
  std::function<void(std::byte* to, std::span<const std::byte> bytes)> write;
  std::function<void(std::span<std::byte> to, const std::byte* from)> read;
};

/// Host memory that lives as long as the functions do.
inline TensorMemory host_tensors() {
  const auto kept = std::make_shared<std::list<std::vector<std::byte>>>();
  return {.allocate =
              [kept](RankId /*rank*/, std::size_t bytes) {
                return kept->emplace_back(bytes, std::byte{0xAB}).data();
              },
          .write = [](std::byte* to,
                      std::span<const std::byte> bytes) { std::ranges::copy(bytes, to); },
          .read = [](std::span<std::byte> to,
                     const std::byte* from) { std::copy_n(from, to.size(), to.begin()); }};
}

/// Tensors of all slots that two placements have, each allocated by itself.
class OwnTensors {
 public:
  OwnTensors(const Placement& old, const Placement& next, SlotLayout layout, std::uint64_t seed,
             TensorMemory memory = host_tensors())
      : layout_(std::move(layout)),
        slots_per_rank_(std::max(old.slots_per_rank(), next.slots_per_rank())),
        layers_(old.layers()),
        seed_(seed),
        memory_(std::move(memory)) {
    for (const RankId rank : all_ids<RankId>(std::max(old.ranks(), next.ranks()))) {
      for (std::size_t slot = 0; slot < layers_ * slots_per_rank_; ++slot) {
        for (const TensorRange& tensor : layout_.tensors) {
          starts_.push_back(memory_.allocate(rank, static_cast<std::size_t>(tensor.bytes.count())));
        }
      }
    }
  }

  [[nodiscard]] std::byte* at(RankId rank, std::size_t layer, std::size_t slot,
                              std::size_t tensor) const {
    const std::size_t row = (rank.index() * layers_ + layer) * slots_per_rank_ + slot;
    return starts_[row * layout_.tensors.size() + tensor];
  }
  [[nodiscard]] FindTensor find() const {
    return [this](RankId rank, std::size_t layer, std::size_t slot, std::size_t tensor) {
      return at(rank, layer, slot, tensor);
    };
  }

  /// Random bytes, the same for all replicas of an expert.
  void fill(const Placement& placement) const {
    visit(placement,
          [&](std::byte* start, std::span<const std::byte> bytes) { memory_.write(start, bytes); });
  }

  /// Tensors that do not hold their expert.
  [[nodiscard]] std::size_t wrong(const Placement& placement) const {
    std::size_t count = 0;
    std::vector<std::byte> found;
    visit(placement, [&](std::byte* start, std::span<const std::byte> bytes) {
      found.resize(bytes.size());
      memory_.read(found, start);
      count += std::ranges::equal(found, bytes) ? 0U : 1U;
    });
    return count;
  }

  void flip(std::byte* byte) const {
    std::vector<std::byte> one(1);
    memory_.read(one, byte);
    one.front() ^= std::byte{0x10};
    memory_.write(byte, one);
  }

 private:
  template <class Visit>
  void visit(const Placement& placement, const Visit& visit) const {
    std::vector<std::byte> bytes;
    for (const LayerId layer : all_ids<LayerId>(placement.layers())) {
      for (const SlotId slot : all_ids<SlotId>(placement.slots())) {
        const ExpertId expert = placement(layer, slot);
        if (expert.is_none()) continue;
        const std::size_t own = slot.index() % placement.slots_per_rank();
        for (std::size_t t = 0; t < layout_.tensors.size(); ++t) {
          bytes.resize(static_cast<std::size_t>(layout_.tensors[t].bytes.count()));
          Rng rng(seed_ + (layer.index() * 1000 + expert.index()) * 8 + t);
          for (std::byte& byte : bytes) byte = static_cast<std::byte>(rng.below(256));
          visit(at(placement.rank_of(slot), layer.index(), own, t), bytes);
        }
      }
    }
  }

  SlotLayout layout_;
  std::size_t slots_per_rank_;
  std::size_t layers_;
  std::uint64_t seed_;
  TensorMemory memory_;
  std::vector<std::byte*> starts_;
};

}  // namespace moeshift::test
