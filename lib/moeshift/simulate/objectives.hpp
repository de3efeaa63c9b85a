// SPDX-License-Identifier: Apache-2.0
// Tokens, activated experts or seconds: which objective serves this traffic best?
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "moeshift/simulate/step_blocks.hpp"

namespace moeshift {

/// Steps served with plans for one objective; all else is equal.
struct ObjectiveLane {
  std::string objective;  ///< "tokens", "activated", "seconds"
  const StepBlocks* blocks = nullptr;
};

struct ObjectiveOutcome {
  std::string objective;
  PairedDifference behind;  ///< mean step seconds: this - best; 0 for the best
};

struct ObjectiveVerdict {
  std::vector<ObjectiveOutcome> outcomes;  ///< in the order of the lanes
  std::size_t best = 0;
  bool certain = false;  ///< some objective is behind beyond chance
  std::string text;      ///< one sentence, with what the wrong ones cost
};

/// Where a step is bound by reading weights (decode in small batches), balancing tokens can make it
/// slower (METRO, arXiv 2512.09277); where by compute, balancing activated experts does.
/// @param lanes at least two, which watched the same steps. @param whole step seconds that costs
/// are shares of.
[[nodiscard]] ObjectiveVerdict judge_objectives(std::span<const ObjectiveLane> lanes, Seconds whole,
                                                std::uint64_t seed);

}  // namespace moeshift
