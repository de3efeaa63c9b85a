// SPDX-License-Identifier: Apache-2.0
// `deepseek`: the planner of deepseek-ai/EPLB, bit for bit. `snake`: the same with snake packing.
#pragma once

#include "moeshift/plan/layered_planner.hpp"
#include "moeshift/plan/peers/eplb.hpp"

namespace moeshift {

/// Plans from the load alone; ignores the old placement and may put two replicas of an expert on
/// one rank, as its owners' do. Source: deepseek-ai/EPLB eplb.py `rebalance_experts`, which also
/// says where `pack_largest_first` is the whole difference to `pack_snake` (arXiv 2510.06189).
/// Where we differ: equal loads go to the lower expert and the lower rank; theirs leave ties to
/// torch's sort and max, whose order is not promised. Slots may then differ, peaks do not.
class EplbPlanner final : public LayeredPlanner {
 public:
  EplbPlanner(EplbMode mode, PackingRule pack) : mode_(mode), pack_(pack) {}

 protected:
  [[nodiscard]] LayerPlan plan_layer(const LayerProblem& problem) const override {
    return {.slots = plan_by_eplb(problem, mode_, pack_).slots};
  }

 private:
  EplbMode mode_;
  PackingRule pack_;
};

}  // namespace moeshift
