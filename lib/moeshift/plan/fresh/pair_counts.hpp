// SPDX-License-Identifier: Apache-2.0
// Two slots per rank: everything is in the replica counts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace moeshift {

/// Replica counts for ranks of two slots, and what folding them comes to.
struct PairCounts {
  std::vector<std::uint32_t> counts;
  double peak = 0;  ///< heaviest pair
};

/// Anneals replica counts for k = 2, where pairing the heaviest replica with the lightest (folding)
/// is the best packing for given counts, so that only the counts are left to choose.
///
/// Moves take a replica from a random expert that has several and give it to one of a heavy pair;
/// Metropolis acceptance on Phi = sum of squared excess over a target just below the best peak so
/// far. Stops at `bound`, and ends at once when every
/// expert has one replica. O(iterations * slots).
/// @param start counts that sum to 2 * ranks, none above `ranks`; the result keeps both.
[[nodiscard]] PairCounts anneal_pair_counts(std::span<const double> load, std::size_t ranks,
                                            std::vector<std::uint32_t> start, double bound,
                                            std::size_t iterations, std::uint64_t seed);

/// What counts near an old placement should come to.
struct NearTargets {
  double fold = 0;  ///< heaviest pair when everything is paired afresh
  double rank = 0;  ///< heaviest rank in the end, >= fold: ranks below it can stay as they are
};

/// Anneals replica counts of which an old placement of pairs can keep most.
///
/// What has to move is every further replica and, from each rank that the new counts leave above
/// the target, one replica and others that make room for it: the more, the further it is above.
/// That sum is annealed, plus the squared excess of the folded pairs, heavy enough that they end
/// near their target. O(iterations * (slots + replicas of an expert)), most steps the latter alone.
/// @param old [2 * ranks] the expert in every slot.
[[nodiscard]] std::vector<std::uint32_t> anneal_near_counts(std::span<const double> load,
                                                            std::span<const std::uint32_t> old,
                                                            const NearTargets& targets,
                                                            std::size_t iterations,
                                                            std::uint64_t seed);

/// Pairs the heaviest replica with the lightest; the experts of every slot, distinct per rank.
[[nodiscard]] std::vector<std::uint32_t> fold_pairs(std::span<const double> load,
                                                    std::span<const std::uint32_t> counts);

}  // namespace moeshift
