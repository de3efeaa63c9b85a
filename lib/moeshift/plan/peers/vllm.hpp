// SPDX-License-Identifier: Apache-2.0
// `vllm`: vLLM's default policy.
#pragma once

#include "moeshift/plan/layered_planner.hpp"
#include "moeshift/plan/peers/eplb.hpp"

namespace moeshift {

/// deepseek-ai/EPLB, then every replica that stays on its rank keeps its slot. Saves copies on the
/// rank, not transfers between ranks. Source: vllm-project/vllm
/// vllm/distributed/eplb/policy/default.py `rebalance_experts`, `preserve_intragpu_slots`; theirs
/// computes in numpy float32, in the same order.
class VllmPlanner final : public LayeredPlanner {
 public:
  explicit VllmPlanner(EplbMode mode) : mode_(mode) {}

 protected:
  [[nodiscard]] LayerPlan plan_layer(const LayerProblem& problem) const override;

 private:
  EplbMode mode_;
};

}  // namespace moeshift
