// SPDX-License-Identifier: Apache-2.0
// Constructive packers: replica counts to ranks of equal size, no expert twice on a rank.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace moeshift {

/// All packers take `counts` that sum to ranks * k with no count above `ranks`, and return the
/// expert in every slot, rank after rank, distinct within a rank.

/// Largest replica first to the lightest rank with room (LPT with cardinality); the replicas of an
/// expert go to that many different ranks. O(slots log ranks).
[[nodiscard]] std::vector<std::uint32_t> pack_largest_first_distinct(
    std::span<const double> load, std::span<const std::uint32_t> counts, std::size_t ranks);

/// Balanced largest differencing (BLDM): replicas, heaviest first, cut into k tuples of `ranks`;
/// the two tuples of largest spread are merged heaviest onto lightest until one is left; clashes
/// are repaired afterwards. The best start for k >= 5. O(slots log ranks).
/// Source: Michiels, Korst, Aarts, van Leeuwen, STACS 2003.
[[nodiscard]] std::vector<std::uint32_t> pack_by_differencing(std::span<const double> load,
                                                              std::span<const std::uint32_t> counts,
                                                              std::size_t ranks);

/// Exchanges replicas until no rank holds an expert twice, each time for the replica nearest in
/// load. Falls back to dealing the replicas out expert by expert, which always succeeds.
void make_distinct(std::span<const double> load, std::span<const std::uint32_t> counts,
                   std::size_t ranks, std::vector<std::uint32_t>& experts);

}  // namespace moeshift
