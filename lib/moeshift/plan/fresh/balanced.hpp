// SPDX-License-Identifier: Apache-2.0
// `balanced`: a fresh, near-optimal plan for every layer.
#pragma once

#include "moeshift/plan/fresh/fresh_plan.hpp"
#include "moeshift/plan/layered_planner.hpp"
#include "moeshift/plan/relabel.hpp"

namespace moeshift {

/// Plans each layer afresh to within a tolerance of a certified bound (fresh_plan.hpp); never two
/// replicas of an expert on one rank. With an old placement the plan is relabelled against it
/// (relabel.hpp), and a layer whose old placement is as good within `min_gain` is left alone.
class BalancedPlanner final : public LayeredPlanner {
 public:
  BalancedPlanner(Effort effort, double min_gain, LinkPrices links)
      : effort_(effort), min_gain_(min_gain), links_(links) {}

 protected:
  /// @throws InfeasibleError when a rank has more slots than there are experts.
  [[nodiscard]] LayerPlan plan_layer(const LayerProblem& problem) const override;
  [[nodiscard]] LayerPlan plan_layer_hastily(const LayerProblem& problem) const override;

 private:
  Effort effort_;
  double min_gain_;
  LinkPrices links_;
};

}  // namespace moeshift
