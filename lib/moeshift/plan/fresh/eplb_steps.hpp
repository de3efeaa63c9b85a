// SPDX-License-Identifier: Apache-2.0
// The two steps of deepseek-ai/EPLB, in its own arithmetic: replicate, then pack.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace moeshift {

/// Where every item went: `pack[i]`, and its place inside that pack.
struct Packing {
  std::vector<std::uint32_t> pack;
  std::vector<std::uint32_t> position;
};

/// Packs weights.size() items into `packs` packs of equal cardinality.
using PackingRule = Packing (*)(std::span<const float> weights, std::size_t packs);

/// Largest item first, into the lightest pack that still has room (LPT with cardinality).
///
/// Bit-exact with `balanced_packing` of deepseek-ai/EPLB eplb.py: float32 running sums, equal
/// weights in ascending order of index, equal packs to the lower index, and the identity when every
/// pack takes one item. We keep the packs in a heap: O(n log n) for their O(n packs).
[[nodiscard]] Packing pack_largest_first(std::span<const float> weights, std::size_t packs);

/// Largest item first, boustrophedon over the packs: left to right, then right to left.
///
/// Source: the planner evolved by ADRS / OpenEvolve (arXiv 2510.06189), and the packing of SGLang's
/// deepseek_vec.py. O(n log n).
[[nodiscard]] Packing pack_snake(std::span<const float> weights, std::size_t packs);

/// Replicates experts until there are `slots`: each further replica goes to the expert with the
/// most load per replica, the lower index on ties.
///
/// Bit-exact with `replicate_experts` of deepseek-ai/EPLB (float32 quotients); a heap makes it
/// O(slots log experts). @return the expert of every slot: 0 .. experts-1, then the replicas in the
/// order in which they were added.
[[nodiscard]] std::vector<std::uint32_t> replicate_greedily(std::span<const float> weights,
                                                            std::size_t slots);

/// One flat layer by both steps.
struct EplbPlan {
  std::vector<std::uint32_t> experts;  ///< [slots], rank after rank; may hold one twice on a rank
  std::vector<std::uint32_t> counts;   ///< [experts]
  double peak = 0;                     ///< of a rank, under even dispatch
};
/// @pre slots divide by ranks.
[[nodiscard]] EplbPlan plan_by_eplb_steps(std::span<const double> load, std::size_t ranks,
                                          std::size_t slots);

}  // namespace moeshift
