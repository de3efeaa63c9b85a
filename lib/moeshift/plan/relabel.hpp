// SPDX-License-Identifier: Apache-2.0
// Ranks are anonymous to a load: name them so that the least has to move.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "moeshift/plan/layer_problem.hpp"

namespace moeshift {

/// What one received replica costs, by how far it comes.
struct LinkPrices {
  double intra_node = 1;
  double inter_node = 9;  ///< a node's NIC against its NVLink, roughly
};

/// What rank r pays to hold expert e, [ranks, experts]: nothing when it holds it now, the
/// intra-node price when its node does, else the inter-node price. Without an old placement all is
/// free.
[[nodiscard]] std::vector<float> holding_prices(const LayerProblem& problem,
                                                const LinkPrices& prices);

/// Which ranks may take each other's replicas without changing what the plan means.
enum class Exchangeable {
  kRanks,           ///< any rank for any other: a flat plan
  kWithinAndNodes,  ///< ranks within a node, and whole nodes of equal size
};

/// What may be renamed for a policy that treats all ranks alike: any rank, unless coverage counts
/// nodes.
[[nodiscard]] inline Exchangeable exchangeable_ranks(const LayerProblem& problem) {
  const bool nodes_matter = problem.survive.losses > 0 && problem.survive.by_node;
  return nodes_matter ? Exchangeable::kWithinAndNodes : Exchangeable::kRanks;
}

/// Gives the rank contents of `slots` to the ranks that hold most of them already, then keeps every
/// replica that stays on its rank in its old slot. Balance does not change; priced bytes never
/// increase.
///
/// Exact for its scope: one assignment over all ranks, or one per pair of nodes and one over the
/// nodes (the symmetry group is the wreath product). Falls back to kWithinAndNodes above 256 ranks.
/// Source: the remedy that deepseek-ai/EPLB#25 points to. O(ranks^3), or O(nodes^2 (ranks/node)^3).
void relabel(const LayerProblem& problem, const LinkPrices& prices, Exchangeable scope,
             std::vector<ExpertId>& slots);

/// Keeps every replica that stays on its rank in its old slot; what arrives fills the holes in
/// order. Does nothing when slots per rank changed.
/// Source: vllm-project/vllm policy/default.py `preserve_intragpu_slots`.
void keep_slots_in_place(const LayerProblem& problem, std::vector<ExpertId>& slots);

/// Sum of prices over every rank's distinct experts.
[[nodiscard]] double priced_cost(const LayerProblem& problem, std::span<const float> prices,
                                 std::span<const ExpertId> slots);

/// Replicas that some rank holds in `slots` and does not hold now: what must arrive by transfer.
[[nodiscard]] std::size_t arrivals(const LayerProblem& problem, std::span<const ExpertId> slots);

}  // namespace moeshift
