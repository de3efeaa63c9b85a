// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/peers/fixed.hpp"

#include "moeshift/core/error.hpp"

namespace moeshift {

std::vector<ExpertId> initial_map(const LayerProblem& problem) {
  std::vector<ExpertId> slots;
  for (std::size_t slot = 0; slot < problem.slots(); ++slot) {
    slots.emplace_back(slot % problem.experts());
  }
  return slots;
}

LayerPlan StaticPlanner::plan_layer(const LayerProblem& problem) const {
  if (problem.can_keep()) return {.slots = problem.kept_slots(), .keep = true};
  if (!problem.held.empty()) {
    throw InputError("",
                     "static cannot keep the old placement: expected the same ranks and slots "
                     "and every expert in at least one slot");
  }
  return {.slots = initial_map(problem)};
}

LayerPlan ContiguousPlanner::plan_layer(const LayerProblem& problem) const {
  LayerPlan plan;
  for (std::size_t slot = 0; slot < problem.slots(); ++slot) {
    plan.slots.emplace_back(slot * problem.experts() / problem.slots());
  }
  return plan;
}

}  // namespace moeshift
