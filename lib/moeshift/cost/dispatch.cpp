// SPDX-License-Identifier: Apache-2.0
#include "moeshift/cost/dispatch.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/core/rng.hpp"
#include "moeshift/core/suggest.hpp"
#include "moeshift/cost/best_split.hpp"

namespace moeshift {
namespace {

/// The ranks that hold an expert, once per replica, ascending.
using Holders = std::vector<std::vector<std::size_t>>;

Holders holders_of(const Placement& placement, LayerId layer) {
  Holders holders(placement.experts());
  const std::span<const ExpertId> slots = placement.layer(layer);
  for (std::size_t slot = 0; slot < slots.size(); ++slot) {
    if (!slots[slot].is_none()) {
      holders[slots[slot].index()].push_back(slot / placement.slots_per_rank());
    }
  }
  return holders;
}

/// The holder that a source rank sends to; `turn` shares far sources out fairly.
std::size_t nearest_holder(std::span<const std::size_t> holders, const Topology& topology,
                           std::size_t source, std::size_t turn) {
  if (std::find(holders.begin(), holders.end(), source) != holders.end()) return source;
  for (const std::size_t holder : holders) {
    if (topology.node_of(RankId(holder)) == topology.node_of(RankId(source))) return holder;
  }
  return holders[turn % holders.size()];
}

void dispatch_nearest(std::span<const double> load, const Holders& holders,
                      const Topology& topology, std::span<double> ranks) {
  for (std::size_t e = 0; e < load.size(); ++e) {
    if (load[e] <= 0) continue;
    const double share = load[e] / static_cast<double>(ranks.size());
    for (std::size_t source = 0; source < ranks.size(); ++source) {
      ranks[nearest_holder(holders[e], topology, source, source + e)] += share;
    }
  }
}

/// Binomial(n, p), by draws for small counts and by the normal law for large ones.
double binomial(Rng& rng, double n, double p) {
  if (n * p * (1 - p) > 30) {
    const double drawn = std::round(n * p + std::sqrt(n * p * (1 - p)) * rng.normal());
    return std::clamp(drawn, 0.0, n);
  }
  if (n > 1e5) return std::clamp(std::round(n * p), 0.0, n);
  double hits = 0;
  for (double i = 0; i < n; ++i) hits += rng.uniform() < p ? 1 : 0;
  return hits;
}

void dispatch_random(std::span<const double> load, const Holders& holders, Rng& rng,
                     std::span<double> ranks) {
  for (std::size_t e = 0; e < load.size(); ++e) {
    double left = load[e];
    for (std::size_t i = 0; i < holders[e].size() && left > 0; ++i) {
      const auto open = static_cast<double>(holders[e].size() - i);
      const double taken = open > 1 ? binomial(rng, left, 1 / open) : left;
      ranks[holders[e][i]] += taken;
      left -= taken;
    }
  }
}

}  // namespace

Dispatch dispatch_named(const std::string& name) {
  static constexpr std::array<std::string_view, 4> kNames{"even", "nearest", "random", "lp"};
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found != kNames.end()) return static_cast<Dispatch>(found - kNames.begin());
  throw InputError("", fmt::format("unknown dispatch rule '{}'; expected even, nearest, random or "
                                   "lp{}",
                                   name, did_you_mean(name, kNames)));
}

RankLoads rank_loads(const LoadMatrix& load, const Placement& placement, const Topology& topology,
                     Dispatch rule, std::uint64_t seed) {
  RankLoads even = rank_loads(load, placement);  // also checks shapes and holders
  if (rule == Dispatch::kEven) return even;
  if (topology.ranks() != placement.ranks()) {
    throw InputError("", fmt::format("the placement has {} ranks, the machine {}",
                                     placement.ranks(), topology.ranks()));
  }
  RankLoads loads(placement.layers(), placement.ranks(), 0.0);
  for (const LayerId layer : loads.row_ids()) {
    const Holders holders = holders_of(placement, layer);
    Rng rng = Rng::stream(seed, layer.value());
    const std::span<double> ranks = loads.row(layer);
    if (rule == Dispatch::kNearest) dispatch_nearest(load.row(layer), holders, topology, ranks);
    if (rule == Dispatch::kRandom) dispatch_random(load.row(layer), holders, rng, ranks);
    if (rule == Dispatch::kLp) best_split(load.row(layer), holders, ranks);
  }
  return loads;
}

}  // namespace moeshift
