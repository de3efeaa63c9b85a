// SPDX-License-Identifier: Apache-2.0
// The best placement of one layer that a fresh start finds, flat: every rank like every other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "moeshift/plan/tuned.hpp"

namespace moeshift {

/// How hard to search.
struct Effort {
  double tolerance = 1e-3;  ///< stop at (1 + tolerance) x lower bound
  std::size_t steps = 200;  ///< per refinement
  std::size_t kicks = 12;   ///< restarts from a perturbed local optimum
  std::size_t pair_iterations = tuned::kPairIterations;  ///< annealing steps for two slots per rank
  std::size_t large_kicks =
      tuned::kLargeKicks;                   ///< where small ones leave a gap, on up to 96 ranks
  std::size_t patience = tuned::kPatience;  ///< kicks without a better plan after which to give up
  bool operator==(const Effort&) const = default;
};

/// "fast", "normal" or "thorough".
/// @throws InputError for any other name.
[[nodiscard]] Effort effort_named(const std::string& name);

/// The first start of the portfolio, unimproved: what there is time for when there is none.
[[nodiscard]] constexpr Effort least_effort() {
  return {.tolerance = 1e9, .steps = 0, .kicks = 0, .pair_iterations = 0, .large_kicks = 0};
}

struct FreshPlan {
  std::vector<std::uint32_t> experts;  ///< [ranks * k], distinct within a rank
  double peak = 0;
  double lower_bound = 0;
  double doubled_peak = 0;  ///< of EPLB's plan where that doubles experts on a rank; else 0
  std::uint64_t moves_tried = 0;
};

/// Plans one layer afresh: Adams' counts, then differencing, largest-first and EPLB's own answer as
/// starts, local search from each, kicks from the best; annealed counts and folding for two slots
/// per rank. Stops as soon as the peak is within the tolerance of a certified bound.
///
/// @pre experts <= ranks * slots_per_rank and slots_per_rank <= experts.
/// Equal inputs give equal plans.
[[nodiscard]] FreshPlan plan_fresh(std::span<const double> load, std::size_t ranks,
                                   std::size_t slots_per_rank, const Effort& effort,
                                   std::uint64_t seed);

}  // namespace moeshift
