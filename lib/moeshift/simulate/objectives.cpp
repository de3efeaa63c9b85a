// SPDX-License-Identifier: Apache-2.0
#include "moeshift/simulate/objectives.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"

namespace moeshift {

ObjectiveVerdict judge_objectives(std::span<const ObjectiveLane> lanes, Seconds whole,
                                  std::uint64_t seed) {
  MOESHIFT_CHECK(lanes.size() >= 2);
  ObjectiveVerdict verdict;
  const auto best = std::min_element(lanes.begin(), lanes.end(),
                                     [](const ObjectiveLane& a, const ObjectiveLane& b) {
                                       return a.blocks->mean() < b.blocks->mean();
                                     });
  verdict.best = static_cast<std::size_t>(best - lanes.begin());
  std::vector<std::string> costs;
  for (const ObjectiveLane& lane : lanes) {
    verdict.outcomes.push_back(
        {lane.objective, mean_difference(*lane.blocks, *best->blocks, {.seed = seed})});
    if (&lane == &*best) continue;
    const PairedDifference& behind = verdict.outcomes.back().behind;
    verdict.certain = verdict.certain || behind.certain();
    costs.push_back(fmt::format("{} costs {}", lane.objective, share_text(behind, whole.count())));
  }
  verdict.text =
      verdict.certain
          ? fmt::format("objective: planning for {} serves this traffic best; {} of the step time",
                        best->objective, fmt::join(costs, ", "))
          : fmt::format(
                "objective: what is balanced makes no difference beyond chance here (best "
                "{}; {} of the step time)",
                best->objective, fmt::join(costs, ", "));
  return verdict;
}

}  // namespace moeshift
