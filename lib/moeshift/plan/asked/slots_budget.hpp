// SPDX-License-Identifier: Apache-2.0
// One memory budget over all layers: more replicas where they buy most.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>

#include "moeshift/plan/planner.hpp"

namespace moeshift {

/// Lets every layer have its own number of slots per rank, at most the problem's, such that the
/// slots of the active ranks sum to at most `budget` over all layers.
///
/// The policy plans all layers at every number of slots per rank that holds the experts; each
/// layer's peaks over its slots make a curve, and the budget goes to the steepest segments of the
/// curves' lower hulls (spread_budget.hpp): optimal but for one segment, given the plans. Slots
/// that a layer does without are ExpertId::none(), at the end of each rank's slots. Source: CRAFT,
/// arXiv 2603.28768, which solves the same knapsack over its own curves. Costs as many plans as
/// there are numbers of slots to choose from.
class SlotsBudgetPlanner final : public Planner {
 public:
  SlotsBudgetPlanner(std::unique_ptr<Planner> policy, std::size_t budget)
      : policy_(std::move(policy)), budget_(budget) {}

  /// @throws InfeasibleError when the budget is below what the experts need.
  [[nodiscard]] PlanResult plan(const PlanProblem& problem, Threads threads,
                                Progress& progress) const override;

 private:
  std::unique_ptr<Planner> policy_;
  std::size_t budget_;
};

}  // namespace moeshift
