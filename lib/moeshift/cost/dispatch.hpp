// SPDX-License-Identifier: Apache-2.0
// Which replica a token goes to, how far it travels to get there, and what ranks then carry.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "moeshift/cost/balance.hpp"
#include "moeshift/model/placement.hpp"
#include "moeshift/model/topology.hpp"

namespace moeshift {

/// How the tokens of an expert are shared by its replicas.
enum class DispatchRule : std::uint8_t {
  kEven,     ///< every replica alike (round robin, hash)
  kNearest,  ///< the source rank's own replica, else those of its node, else all alike
  kRandom,   ///< every token picks a replica at random
  kLp,       ///< the split that makes the busiest rank least busy (best_split.hpp)
};

/// "even", "nearest", "random" or "lp".
/// @throws InputError for another name, with the nearest one.
[[nodiscard]] DispatchRule parse_dispatch_rule(std::string_view name);

struct DispatchOptions {
  DispatchRule rule = DispatchRule::kEven;
  /// Even dispatch only: what the first replica takes of the share the others should have, in
  /// [0, 1]; 0 = fair, 1 = it takes all (the bias of a poor hash, vllm-project/vllm#40810).
  double replica_bias = 0;
  std::uint64_t seed = 0;  ///< of `kRandom`
  /// Ranks on which no token starts, ascending: failed, or not joined yet.
  std::vector<RankId> silent = {};
};

/// One slot of one layer: the share of its expert's tokens that it computes, by the class of link
/// they arrive over. Tokens start evenly on all ranks that are not silent (data-parallel
/// attention).
struct SlotShare {
  std::uint32_t expert = 0;
  std::array<double, kLinkClasses> by_link{};  ///< kLocal: already there

  [[nodiscard]] double total() const { return by_link[0] + by_link[1] + by_link[2] + by_link[3]; }
};

/// The shares of one layer, slot by slot; per expert they sum to 1. Empty slots take nothing.
using LayerDispatch = std::vector<SlotShare>;

/// How a layer's tokens spread over its slots.
///
/// `nearest`: sgl-project/sglang expert_location.py
/// `compute_logical_to_rank_dispatch_physical_map`, whose fair draw among equally near replicas is
/// an even split here. `random`: a multinomial draw (normal approximation for large counts) from
/// (seed, layer) for the counts in `load`; without a load its expectation, which is even. `lp`
/// needs a load; experts without any are split evenly.
/// @param load [experts] tokens, or empty; only `random` and `lp` look at it.
/// O(slots * ranks) for `nearest`, O(slots + ranks) otherwise, `lp` apart.
/// @throws InputError when an expert has no holder, or for `lp` without a load.
[[nodiscard]] LayerDispatch dispatch_shares(const Placement& placement, LayerId layer,
                                            const Topology& topology,
                                            const DispatchOptions& options,
                                            std::span<const double> load = {});

/// Rank loads under a dispatch rule: load times share, summed over the slots of a rank.
/// @throws InputError when shapes disagree or an expert with load has no holder.
[[nodiscard]] RankLoads rank_loads(const LoadMatrix& load, const Placement& placement,
                                   const Topology& topology, const DispatchOptions& options);

}  // namespace moeshift
