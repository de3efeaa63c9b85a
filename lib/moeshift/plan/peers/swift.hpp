// SPDX-License-Identifier: Apache-2.0
// `swift`: vllm-ascend's SwiftBalanceEplb, which changes little and lets few ranks talk.
#pragma once

#include "moeshift/plan/layered_planner.hpp"

namespace moeshift {

/// Keeps one holder of every expert where it is, chooses all other replicas anew, then swaps
/// experts with the hottest rank. No ordered pair of ranks exchanges more than one expert per
/// layer, but for slots that this rule would leave empty. A layer within 1 % of balance stays, and
/// all layers stay unless the sum of their peaks falls by 5 %. Without an old placement it starts
/// from the initial map (`static`).
///
/// Source: vllm-project/vllm-ascend eplb/core/policy/policy_swift_balancer.py `SwiftBalanceEplb`
/// (vllm-project/vllm#24069). Where we differ: every layer is judged by its own average load
/// (theirs is layer 0's for all); loads are not cut to integers; the load of a replica is its exact
/// share, as their unit test demands (some of their versions shrink it by (c + 2) / (c + 3)); equal
/// swaps go to the lower slot (theirs: order of a set); an old placement of another shape is
/// adapted first (adapt.hpp); two replicas on a rank, which theirs loses track of, are taken apart.
/// Their mode that keeps replicas inside a node is not built. O(slots log experts + 100 ranks
/// slots_per_rank^2) per layer.
class SwiftPlanner final : public LayeredPlanner {
 public:
  /// @throws InfeasibleError when a rank has more slots than there are experts.
  [[nodiscard]] PlanResult plan(const PlanProblem& problem, Threads threads,
                                Progress& progress) const override;

 protected:
  [[nodiscard]] LayerPlan plan_layer(const LayerProblem& problem) const override;
};

}  // namespace moeshift
