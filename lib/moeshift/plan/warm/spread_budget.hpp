// SPDX-License-Identifier: Apache-2.0
// One budget over all layers: spend where a transfer buys most.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace moeshift {

/// A layer after some of its search steps.
struct TrajectoryPoint {
  double cost = 0;   ///< cumulative, in units of the budget
  double value = 0;  ///< what is minimised: tokens on the busiest rank
};

/// How many steps of its trajectory every layer takes so that the values sum to little and the
/// costs to at most `budget`.
///
/// Greedy on the slopes of the layers' lower convex hulls: optimal for the linear relaxation of the
/// multiple-choice knapsack, off by at most one hull segment. Point 0 of a trajectory is its start;
/// a start that costs (a layer that must change) is paid first.
/// O(points log points).
[[nodiscard]] std::vector<std::size_t> spread_budget(
    std::span<const std::vector<TrajectoryPoint>> layers, double budget);

}  // namespace moeshift
