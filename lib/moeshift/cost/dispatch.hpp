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
#include "moeshift/routing/copies.hpp"
#include "moeshift/routing/route_summary.hpp"

namespace moeshift {

/// How the tokens of an expert are shared by its replicas.
enum class DispatchRule : std::uint8_t {
  kEven,     ///< every replica alike (round robin, hash)
  kNearest,  ///< the source rank's own replica, else those of its node, else all alike
  kRandom,   ///< every token picks a replica at random
  kLp,       ///< the split that makes the busiest rank least busy (best_split.hpp)
  kVisited,  ///< a rank that the token goes to anyway, else such a node; needs routes
};

/// "even", "nearest", "random", "lp" or "visited".
/// @throws InputError for another name, with the nearest one.
[[nodiscard]] DispatchRule parse_dispatch_rule(std::string_view name);

/// What is known of the routes of all layers, windows joined.
struct KnownRoutes {
  std::size_t top_k = 1;
  std::vector<LayerTogether> layers;
};

struct DispatchOptions {
  DispatchRule rule = DispatchRule::kEven;
  /// Even dispatch only: what the first replica takes of the share the others should have, in
  /// [0, 1]; 0 = fair, 1 = it takes all (the bias of a poor hash, vllm-project/vllm#40810).
  double replica_bias = 0;
  std::uint64_t seed = 0;  ///< of `kRandom`
  /// Ranks on which no token starts, ascending: failed, or not joined yet.
  std::vector<RankId> silent = {};
  /// Which experts tokens choose together; absent: not known. Must outlive the options.
  const KnownRoutes* routes = nullptr;
};

/// One slot of one layer: the share of its expert's tokens that it computes, by the class of link
/// they arrive over. Tokens start evenly on all ranks that are not silent (data-parallel
/// attention).
struct SlotShare {
  std::uint32_t expert = 0;
  std::array<double, kLinkClasses> by_link{};  ///< kLocal: already there
  /// Copies of a token that come to the slot's rank per (token, expert) pair computed there: below
  /// 1 where a token finds several of its experts. 1 without routes.
  double copies = 1;
  /// Tokens that come to its node per pair computed in the node; 0 without routes.
  double node_copies = 0;

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
/// needs a load; experts without any are split evenly. `visited`: as the sampled tokens of
/// options.routes choose (routing/replica_shares.hpp); experts that none chose are split evenly.
/// With options.routes each share also says how many copies it takes, see SlotShare.
/// @param load [experts] tokens, or empty; only `random` and `lp` look at it.
/// O(slots * ranks) for `nearest`, O(slots + ranks) otherwise, `lp` apart.
/// @throws InputError when an expert has no holder, for `lp` without a load, and for `visited`
///         without routes.
[[nodiscard]] LayerDispatch dispatch_shares(const Placement& placement, LayerId layer,
                                            const Topology& topology,
                                            const DispatchOptions& options,
                                            std::span<const double> load = {});

/// Expected copies per token of a layer under the rule: counted on the sampled tokens, or, where
/// there are none (and for `nearest` without source ranks), estimated from pairs. Sources count
/// where as many ranks were recorded as are placed on; otherwise tokens start evenly. `random` and
/// `lp` are taken as `even`.
/// @pre options.routes has the layer. @throws InputError as dispatch_shares().
[[nodiscard]] LayerCopies copies_under(const Placement& placement, LayerId layer,
                                       const Topology& topology, const DispatchOptions& options);

/// dispatch_shares() where the copies under the same rule are known already.
[[nodiscard]] LayerDispatch dispatch_shares(const Placement& placement, LayerId layer,
                                            const Topology& topology,
                                            const DispatchOptions& options,
                                            std::span<const double> load,
                                            const LayerCopies& copies);

/// Rank loads under a dispatch rule: load times share, summed over the slots of a rank.
/// @throws InputError when shapes disagree or an expert with load has no holder.
[[nodiscard]] RankLoads rank_loads(const LoadMatrix& load, const Placement& placement,
                                   const Topology& topology, const DispatchOptions& options);

}  // namespace moeshift
