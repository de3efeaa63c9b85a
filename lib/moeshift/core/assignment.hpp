// SPDX-License-Identifier: Apache-2.0
// Who goes where at the least total cost: the linear assignment problem.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace moeshift {

/// The permutation p that minimises the sum over rows of cost[row * n + p[row]].
///
/// Exact: shortest augmenting paths with potentials (the Hungarian method after Jonker and
/// Volgenant). The identity wins when nothing is cheaper, so equal costs never shuffle.
/// @param cost n x n, finite. O(n^3).
[[nodiscard]] std::vector<std::uint32_t> min_cost_assignment(std::span<const double> cost,
                                                             std::size_t n);

}  // namespace moeshift
