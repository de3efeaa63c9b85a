// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/balanced.hpp"

#include <fmt/format.h>

#include "moeshift/core/error.hpp"

namespace moeshift {

void check_distinct_feasible(const LayerProblem& problem) {
  if (problem.slots_per_rank() <= problem.experts()) return;
  throw InfeasibleError(
      fmt::format("{} slots per rank but only {} experts: some rank would hold two replicas of one",
                  problem.slots_per_rank(), problem.experts()));
}

LayerPlan BalancedPlanner::plan_layer(const LayerProblem& problem) const {
  check_distinct_feasible(problem);
  const std::vector<double> load = positive_load(problem.load);
  const FreshPlan fresh = plan_fresh(load, problem.ranks(), problem.slots_per_rank(), effort_,
                                     problem.seed ^ problem.layer.value());
  LayerPlan plan;
  for (const std::uint32_t e : fresh.experts) plan.slots.emplace_back(e);
  plan.moves_tried = fresh.moves_tried;
  return plan;
}

}  // namespace moeshift
