// SPDX-License-Identifier: Apache-2.0
// Two slots per rank, re-planned from an old placement: other replica counts, few transfers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace moeshift {

struct PairChainOptions {
  double slack = 0.005;    ///< how far above the best counts' peak others, paired afresh, may be
  double room = 0.05;      ///< how far above it ranks may end, or so
  double price = 0.00111;  ///< imbalance (max / mean) that one transfer must save
  double bound = 0;        ///< no placement has a lower peak
  std::size_t iterations = 900;        ///< of annealing the best counts
  std::size_t near_iterations = 2000;  ///< of annealing counts near the old ones, thrice
  std::uint64_t seed = 0;
};

/// A placement with better replica counts that keeps most of `old`.
///
/// Exchanging replicas one by one gets nowhere with two slots per rank: what is wrong is the
/// counts (pair_counts.hpp). So these are annealed first: from Adams', which tells what balance can
/// be had, and then from the old ones, so that what comes near it keeps most ranks as they are.
/// Then surplus replicas go and ranks above a target lose their lighter one. Of what is left over,
/// the largest that fits no rank with a free slot displaces the smallest it can from a full rank,
/// which becomes a left-over itself, until all fit. (A rank of a kept and b leaving wants something
/// in (T - a, b] less elsewhere, a full rank of b and c can give (c, T - b]: that choice covers
/// the wants with the fewest ranks.) Targets are tried in steps of 1 %, and the best of
/// imbalance and price counts. Last, replicas go back where that keeps every rank below the target.
/// @param load [experts] positive. @param old [2 * ranks] distinct within a rank, all experts held.
/// @return the expert in every slot, distinct within a rank. O(iterations * slots + slots^2).
[[nodiscard]] std::vector<std::uint32_t> rearrange_pairs(std::span<const double> load,
                                                         std::span<const std::uint32_t> old,
                                                         const PairChainOptions& options);

/// Two slots per rank: what arrived in `placed` and need not have gives its place back to what was
/// on the rank in `old`, as long as no rank rises above `target`. O(slots^2) per replica that goes
/// back.
[[nodiscard]] std::vector<std::uint32_t> settle_pairs(std::span<const double> load,
                                                      std::span<const std::uint32_t> old,
                                                      std::vector<std::uint32_t> placed,
                                                      double target);

}  // namespace moeshift
