// SPDX-License-Identifier: Apache-2.0
// One layer of TogetherPlanner. Internal to together/.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "moeshift/plan/layered_planner.hpp"
#include "moeshift/plan/together/layer_score.hpp"
#include "moeshift/plan/together/pair_search.hpp"

namespace moeshift {

/// What one layer is planned on.
struct TogetherLayer {
  const PlanProblem& problem;
  const LayerProblem& layer;
  const NetworkGoal& goal;
  std::size_t top_k = 1;
  const LayerTogether* all = nullptr;    ///< every window
  const LayerTogether* first = nullptr;  ///< halves that judge each other; null: no such halves
  const LayerTogether* second = nullptr;
  std::span<const double> balanced_load;  ///< [experts]
  std::optional<std::size_t> most_arrivals = {};
};

struct TogetherAnswer {
  std::vector<ExpertId> slots;  ///< of the active ranks
  NetworkVerdict verdict;
  bool changed = false;
  std::uint64_t tried = 0;
};

/// Improves `start`, or returns it as it is.
[[nodiscard]] TogetherAnswer plan_layer_together(const TogetherLayer& layer,
                                                 std::span<const ExpertId> start);

}  // namespace moeshift
