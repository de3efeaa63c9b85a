// SPDX-License-Identifier: Apache-2.0
// Weights that belong to the caller: an engine's own tensors, moved where they lie.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <utility>

#include "moeshift/core/ids.hpp"
#include "moeshift/core/units.hpp"

namespace moeshift {

/// Where a rank's slots are, and what is in them. With it the engine allocates staging buffers
/// only: it never fills or poisons a live slot, and verifies by fingerprints that it took before
/// the first copy instead of by its pattern.
///
/// Asked from the threads of all local ranks at once.
class CallerWeights {
 public:
  CallerWeights() = default;
  CallerWeights(const CallerWeights&) = delete;
  CallerWeights& operator=(const CallerWeights&) = delete;
  virtual ~CallerWeights() = default;

  /// Where tensor `tensor` of the rank's own slot number `slot` begins. It must stay there while
  /// the job runs, have room for the tensor as the layout says it (bytes rounded up to 16), and be
  /// memory that the rank's transport can send from and receive into.
  /// @param layer index into the job's layers. @param slot < the larger of old and new slots per
  ///        rank; one that no placement fills may be null.
  [[nodiscard]] virtual std::byte* tensor(RankId rank, std::size_t layer, std::size_t slot,
                                          std::size_t tensor) const = 0;
  /// A fingerprint of the bytes there: equal for equal bytes, else different with near certainty.
  /// Called while nothing writes there.
  [[nodiscard]] virtual std::uint64_t fingerprint(const std::byte* start, Bytes bytes) const = 0;
};

/// 64 bits that tell one content from another; not against an adversary. Runs at memory speed.
[[nodiscard]] std::uint64_t fingerprint_of(std::span<const std::byte> bytes);

/// Answers CallerWeights::tensor().
using FindTensor =
    std::function<std::byte*(RankId rank, std::size_t layer, std::size_t slot, std::size_t tensor)>;

/// Slots in host memory, found by a function.
class HostWeights final : public CallerWeights {
 public:
  explicit HostWeights(FindTensor find) : find_(std::move(find)) {}

  [[nodiscard]] std::byte* tensor(RankId rank, std::size_t layer, std::size_t slot,
                                  std::size_t tensor) const override {
    return find_(rank, layer, slot, tensor);
  }
  [[nodiscard]] std::uint64_t fingerprint(const std::byte* start, Bytes bytes) const override {
    return fingerprint_of({start, static_cast<std::size_t>(bytes.count())});
  }

 private:
  FindTensor find_;
};

/// Slots where the host cannot look, such as a device's memory: fingerprints are those of a copy.
/// One that computes them on the device derives from CallerWeights itself.
class DeviceWeights final : public CallerWeights {
 public:
  /// Copies bytes to the host and returns when they are there. Called from the threads of all
  /// local ranks at once, each bound to its rank's device.
  using Read = std::function<void(std::byte* to, const std::byte* from, std::size_t bytes)>;

  DeviceWeights(FindTensor find, Read read) : find_(std::move(find)), read_(std::move(read)) {}

  [[nodiscard]] std::byte* tensor(RankId rank, std::size_t layer, std::size_t slot,
                                  std::size_t tensor) const override {
    return find_(rank, layer, slot, tensor);
  }
  [[nodiscard]] std::uint64_t fingerprint(const std::byte* start, Bytes bytes) const override;

 private:
  FindTensor find_;
  Read read_;
};

}  // namespace moeshift
