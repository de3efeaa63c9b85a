// SPDX-License-Identifier: Apache-2.0
// What every expert of the caller's weights looked like before anything moved.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "moeshift/execute/caller_weights.hpp"
#include "moeshift/execute/engine/rank_context.hpp"
#include "moeshift/execute/engine/rank_memory.hpp"

namespace moeshift {

/// @throws InputError for what does not go with the caller's weights.
void check_weights(const ShuffleJob& job, const ShuffleOptions& options);

/// Changes rules so that no message leaves or enters several tensors of the caller's weights at
/// once.
void suit_weights(MessageRules& rules, const ShuffleJob& job, const ShuffleOptions& options);

class Fingerprints {
 public:
  explicit Fingerprints(const CallerWeights& weights) : weights_(weights) {}

  /// Takes those of this rank's slots and tells them to all; called by all ranks together, before
  /// anything moves.
  /// @throws ShuffleFailure when two replicas of an expert differ: whichever were moved would be
  ///         wrong.
  void take(const RankContext& context, const ShuffleJob& job, const RankMemory& memory);

  /// One slot against its expert's. @return whether they are equal; true for an expert that had no
  /// holder.
  [[nodiscard]] bool holds(const ShuffleJob& job, const RankMemory& memory, std::size_t layer,
                           std::size_t slot, ExpertId expert) const;

 private:
  [[nodiscard]] std::uint64_t of_slot(const ShuffleJob& job, const RankMemory& memory,
                                      std::size_t layer, std::size_t slot, ExpertId expert) const;

  const CallerWeights& weights_;
  std::vector<std::vector<std::optional<std::uint64_t>>> expected_;  ///< [layers][experts]
};

}  // namespace moeshift
