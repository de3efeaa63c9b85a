// SPDX-License-Identifier: Apache-2.0
// `trtllm`: the load balancer of TensorRT-LLM.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "moeshift/plan/layered_planner.hpp"

namespace moeshift {

/// Replica counts: the next one to the largest load per replica, the higher expert on ties; without
/// any load slots / experts each, the remainder to the lowest experts.
/// Source: NVIDIA/TensorRT-LLM cpp/tensorrt_llm/runtime/moeLoadBalancer `doReplication`.
[[nodiscard]] std::vector<std::uint32_t> trtllm_counts(std::span<const double> load,
                                                       std::size_t slots);

/// Replicas by load (ties to the lower expert) to the lightest rank with room (ties to the lower
/// rank); experts of every slot. Source: the same, `doPlacement`.
[[nodiscard]] std::vector<std::uint32_t> trtllm_placement(std::span<const double> load,
                                                          std::span<const std::uint32_t> counts,
                                                          std::size_t ranks);

/// Both, flat, layer by layer. No nodes, no old placement; doubled replicas happen.
class TrtllmPlanner final : public LayeredPlanner {
 protected:
  [[nodiscard]] LayerPlan plan_layer(const LayerProblem& problem) const override;
};

}  // namespace moeshift
