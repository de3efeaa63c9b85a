// SPDX-License-Identifier: Apache-2.0
// `sglang_vec`: SGLang's planner over several windows.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "moeshift/plan/layered_planner.hpp"

namespace moeshift {

/// Replica counts over windows: each further replica goes to the expert that lowers the sum over
/// windows of the hottest load per replica the most (ties to the lower expert).
/// @param windows [windows] spans of [experts]. O(extras * windows * experts).
[[nodiscard]] std::vector<std::uint32_t> counts_over_windows(
    std::span<const std::span<const double>> windows, std::size_t slots);

/// Those counts, then replicas by mean load in a snake over the ranks. Global: theirs is also used
/// per node when the groups divide. May double replicas on a rank, as theirs does.
/// Source: sgl-project/sglang eplb_algorithms/deepseek_vec.py `make_redundant_experts_chunkwise`,
/// `pack_groups`; their tie-break adds index * 1e-4 to a sum of tokens, ours compares indices.
class SglangVecPlanner final : public LayeredPlanner {
 protected:
  [[nodiscard]] LayerPlan plan_layer(const LayerProblem& problem) const override;
};

}  // namespace moeshift
