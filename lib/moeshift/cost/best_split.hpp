// SPDX-License-Identifier: Apache-2.0
// The split of expert loads over their holders that makes the busiest rank least busy.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace moeshift {

/// The tokens that each holder of each expert takes, [experts][holders], when the loads are split
/// so that the largest rank load is least. Exact up to rounding.
///
/// Max-flow (Dinic) from experts to holders with capacity T per rank. While some load cannot flow,
/// the cut names ranks that must carry more than T each; T rises to their mean load, which is a
/// lower bound on the optimum, so that the first T that suffices is the optimum (Newton's method on
/// the parametric cut; at most `ranks` rises).
/// @param holders [experts] ranks that hold the expert, once per replica.
[[nodiscard]] std::vector<std::vector<double>> best_split(
    std::span<const double> load, std::span<const std::vector<std::size_t>> holders,
    std::size_t ranks);

}  // namespace moeshift
