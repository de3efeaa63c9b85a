// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/peers/vllm.hpp"

#include "moeshift/plan/relabel.hpp"

namespace moeshift {

LayerPlan VllmPlanner::plan_layer(const LayerProblem& problem) const {
  LayerPlan plan{.slots = plan_by_eplb(problem, mode_, pack_largest_first).slots};
  keep_slots_in_place(problem, plan.slots);
  return plan;
}

}  // namespace moeshift
