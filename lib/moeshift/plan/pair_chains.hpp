// SPDX-License-Identifier: Apache-2.0
// Two slots per rank, re-planned from an old placement: other replica counts, few transfers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace moeshift {

struct PairChainOptions {
  double slack = 0.01;           ///< how far above the best counts' peak is as good
  double room = 0.02;            ///< how far above their own peak ranks may end
  double bound = 0;              ///< no placement has a lower peak
  std::size_t iterations = 900;  ///< of annealing, from the old counts and from Adams'
  std::uint64_t seed = 0;
};

/// A placement with better replica counts that keeps most of `old`.
///
/// Exchanging replicas one by one gets nowhere with two slots per rank: what is wrong is the
/// counts (pair_counts.hpp). So these are annealed first, from the old ones and from Adams', and
/// taken back to the old ones as far as the slack allows.
/// Then surplus replicas go and ranks above the target lose their lighter one. Of what is left
/// over, the largest that fits no rank with a free slot displaces a smaller one from a full rank,
/// which becomes a left-over itself, until all fit; a target that cannot be met grows by 0.4 %.
/// @param load [experts] positive. @param old [2 * ranks] distinct within a rank, all experts held.
/// @return the expert in every slot, distinct within a rank. O(iterations * slots + slots^2).
[[nodiscard]] std::vector<std::uint32_t> rearrange_pairs(std::span<const double> load,
                                                         std::span<const std::uint32_t> old,
                                                         const PairChainOptions& options);

}  // namespace moeshift
