// SPDX-License-Identifier: Apache-2.0
// How the tokens of an expert are shared by its replicas, and what ranks then carry.
#pragma once

#include <cstdint>
#include <string>

#include "moeshift/cost/balance.hpp"
#include "moeshift/model/topology.hpp"

namespace moeshift {

enum class Dispatch {
  kEven,     ///< every replica takes the same share
  kNearest,  ///< each source rank uses its own replica, else one of its node, else replicas in turn
  kRandom,   ///< every token picks a replica at random
  kLp,       ///< the split that makes the busiest rank least busy
};

/// "even", "nearest", "random" or "lp".
/// @throws InputError for any other name.
[[nodiscard]] Dispatch dispatch_named(const std::string& name);

/// Rank loads under a dispatch rule.
///
/// `nearest` takes every rank to send the same number of tokens to every expert; source:
/// sgl-project/sglang expert_location.py `compute_logical_to_rank_dispatch_physical_map`, whose
/// random fair choice for far sources is a turn by rank number here. `random` draws a
/// multinomial split (normal approximation for large counts) from `seed`. `lp` is exact: the least
/// T such that experts can flow to their holders with at most T at each, raised from the mean by
/// the violated cut of a maximum flow until none is violated.
/// @throws InputError when shapes disagree or an expert with load has no holder.
[[nodiscard]] RankLoads rank_loads(const LoadMatrix& load, const Placement& placement,
                                   const Topology& topology, Dispatch rule, std::uint64_t seed = 0);

}  // namespace moeshift
