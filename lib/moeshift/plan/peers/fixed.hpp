// SPDX-License-Identifier: Apache-2.0
// Policies that do not look at the load: `static` and `contiguous`.
#pragma once

#include "moeshift/plan/layered_planner.hpp"

namespace moeshift {

/// Expert i % E in slot i, [slots].
/// Source: vllm eplb_state.py `build_initial_global_physical_to_logical_map`.
[[nodiscard]] std::vector<ExpertId> initial_map(const LayerProblem& problem);

/// Leaves every expert where it is. Without an old placement: vLLM's initial map.
class StaticPlanner final : public LayeredPlanner {
 protected:
  /// @throws InputError when the old placement has another shape or lost an expert.
  [[nodiscard]] LayerPlan plan_layer(const LayerProblem& problem) const override;
};

/// Experts in order, replicas of an expert side by side: slot s holds expert s * E / S. What a
/// server without any balancing does with S = E.
class ContiguousPlanner final : public LayeredPlanner {
 protected:
  [[nodiscard]] LayerPlan plan_layer(const LayerProblem& problem) const override;
};

}  // namespace moeshift
