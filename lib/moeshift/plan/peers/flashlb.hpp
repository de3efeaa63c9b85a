// SPDX-License-Identifier: Apache-2.0
// `flashlb`: vllm-ascend's FlashLB, which plans replica counts and placement on window statistics.
#pragma once

#include "moeshift/plan/layered_planner.hpp"

namespace moeshift {

/// Replicas by mean + 0.674 standard deviations over the windows; experts, heaviest first, in four
/// blocks; how many of the spare replicas each block gets is searched up to eight either side of
/// the greedy number, every candidate placed largest-first by risk (mean + 0.674 deviations of the
/// rank, covariances included, no expert twice) and scored by the mean over windows of max / mean.
/// With an old placement the ranks are renamed to keep most experts in place, and a layer stays
/// unless its score improves.
///
/// Source: vllm-project/vllm-ascend eplb/core/policy/policy_flashlb.py `FlashLB.flash_tree` (pull
/// requests 3042 and 6477). Where we differ: no memory between calls, so their gate against the
/// score that the last plan promised is left out (their first call has none either); an expert gets
/// at most as many replicas as there are ranks, and clashes are repaired (packing.hpp) where theirs
/// would write past the end; equal experts go by number; more than 64 windows are summed into 64.
/// O(51 (slots ranks slots_per_rank + windows slots) + windows experts^2) per layer.
class FlashLbPlanner final : public LayeredPlanner {
 protected:
  /// @throws InfeasibleError when a rank has more slots than there are experts.
  [[nodiscard]] LayerPlan plan_layer(const LayerProblem& problem) const override;
};

}  // namespace moeshift
