// SPDX-License-Identifier: Apache-2.0
#include "moeshift/cost/dispatch.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/core/rng.hpp"
#include "moeshift/core/suggest.hpp"
#include "moeshift/cost/best_split.hpp"
#include "moeshift/model/layer_text.hpp"

namespace moeshift {
namespace {

std::size_t index_of(LinkClass link) {
  return static_cast<std::size_t>(link);
}

/// The shares of one layer while they are worked out.
class Sharing {
 public:
  Sharing(const Placement& placement, LayerId layer, const Topology& topology,
          const std::vector<RankId>& silent)
      : placement_(placement),
        topology_(topology),
        slots_of_(placement.logical_to_physical(layer)),
        origins_(topology.ranks()),
        shares_(placement.slots()) {
    for (std::size_t expert = 0; expert < slots_of_.size(); ++expert) {
      for (const SlotId slot : slots_of_[expert]) {
        shares_[slot.index()].expert = static_cast<std::uint32_t>(expert);
      }
    }
    for (const RankId rank : all_ids<RankId>(topology.ranks())) {
      if (!std::binary_search(silent.begin(), silent.end(), rank)) sources_.push_back(rank);
    }
    if (sources_.empty()) throw InputError("", "no rank is left for tokens to start on");
    each_ = 1.0 / static_cast<double>(sources_.size());
    for (const RankId rank : all_ids<RankId>(topology.ranks())) {
      for (const RankId source : sources_) {
        origins_[rank.index()][index_of(topology.link(source, rank))] += each_;
      }
    }
  }

  /// Evenly, but for a bias towards the first replica.
  void evenly(std::size_t expert, double bias) {
    const std::vector<SlotId>& holders = slots_of_[expert];
    const auto count = static_cast<double>(holders.size());
    const double first = 1 / count + bias * (1 - 1 / count);
    const double other = holders.size() > 1 ? (1 - first) / (count - 1) : 0;
    for (std::size_t i = 0; i < holders.size(); ++i) give(holders[i], i == 0 ? first : other);
  }

  /// Every source to its own replicas, else to those of its node, else to all.
  void nearest(std::size_t expert) {
    const std::vector<SlotId>& holders = slots_of_[expert];
    for (const RankId source : sources_) {
      const auto distance = [&](SlotId slot) {
        // Beyond the node all holders are alike.
        return std::min(topology_.link(source, placement_.rank_of(slot)), LinkClass::kInterNode);
      };
      LinkClass least = LinkClass::kInterNode;
      for (const SlotId slot : holders) least = std::min(least, distance(slot));
      const auto alike = std::count_if(holders.begin(), holders.end(),
                                       [&](SlotId slot) { return distance(slot) == least; });
      for (const SlotId slot : holders) {
        if (distance(slot) != least) continue;
        const LinkClass link = topology_.link(source, placement_.rank_of(slot));
        shares_[slot.index()].by_link[index_of(link)] += each_ / static_cast<double>(alike);
      }
    }
  }

  /// As sampled tokens choose, [experts][replicas] of them; evenly where none did.
  void visited(std::size_t expert, std::span<const double> taken) {
    const double total = std::accumulate(taken.begin(), taken.end(), 0.0);
    if (total > 0) return as_drawn(expert, taken, total);
    evenly(expert, 0);
  }

  /// In proportion to the tokens that every holder takes.
  void as_drawn(std::size_t expert, std::span<const double> tokens, double total) {
    for (std::size_t i = 0; i < tokens.size(); ++i) give(slots_of_[expert][i], tokens[i] / total);
  }

  [[nodiscard]] const std::vector<SlotId>& slots_of(std::size_t expert) const {
    return slots_of_[expert];
  }
  /// The ranks that hold each expert, once per replica.
  [[nodiscard]] std::vector<std::vector<std::size_t>> holders() const {
    std::vector<std::vector<std::size_t>> ranks(slots_of_.size());
    for (std::size_t expert = 0; expert < slots_of_.size(); ++expert) {
      for (const SlotId slot : slots_of_[expert]) {
        ranks[expert].push_back(placement_.rank_of(slot).index());
      }
    }
    return ranks;
  }
  [[nodiscard]] LayerDispatch take() { return std::move(shares_); }

 private:
  /// A share to which all sources contribute alike.
  void give(SlotId slot, double share) {
    SlotShare& mine = shares_[slot.index()];
    mine.by_link = origins_[placement_.rank_of(slot).index()];
    for (double& part : mine.by_link) part *= share;
  }

  const Placement& placement_;
  const Topology& topology_;
  std::vector<std::vector<SlotId>> slots_of_;
  std::vector<RankId> sources_;
  double each_ = 1;  // share of the tokens that starts on each of them
  std::vector<std::array<double, kLinkClasses>> origins_;  ///< [ranks] where its tokens start
  LayerDispatch shares_;
};

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

std::vector<double> draw(Rng& rng, double tokens, std::size_t holders) {
  std::vector<double> drawn;
  double left = tokens;
  for (std::size_t open = holders; open > 0; --open) {
    drawn.push_back(open > 1 ? binomial(rng, left, 1 / static_cast<double>(open)) : left);
    left -= drawn.back();
  }
  return drawn;
}

void check_machine(const Placement& placement, const Topology& topology) {
  if (topology.ranks() == placement.ranks()) return;
  throw InputError("", fmt::format("the placement has {} ranks, the machine {}", placement.ranks(),
                                   topology.ranks()));
}

void check_holders(const Sharing& sharing, std::size_t experts, LayerId layer,
                   std::span<const double> load) {
  for (std::size_t e = 0; e < experts; ++e) {
    if (!sharing.slots_of(e).empty() || (!load.empty() && load[e] <= 0)) continue;
    throw LayerInputError(
        LayerText() << "layer " << layer
                    << fmt::format(": no slot holds expert {}, so its tokens cannot be served", e));
  }
}

/// How many sampled tokens each replica takes under `visited`, [experts][replicas].
std::vector<std::vector<double>> taken_by_replicas(const Placement& placement, LayerId layer,
                                                   const Topology& topology,
                                                   const RouteSample& sample) {
  const Holders holders(placement, layer, topology);
  std::vector<std::vector<double>> taken(placement.experts());
  for (std::size_t e = 0; e < taken.size(); ++e) taken[e].assign(holders.of(e).size(), 0);
  std::vector<std::uint32_t> ranks;
  for (std::size_t i = 0; i < sample.size(); ++i) {
    const auto row = sample.row(i);
    holders.visit(sample.token[i], row, ranks);
    for (std::size_t j = 0; j < row.size(); ++j) {
      const auto of_expert = holders.of(row[j]);
      const auto holder = std::find(of_expert.begin(), of_expert.end(), ranks[j]);
      ++taken[row[j]][static_cast<std::size_t>(holder - of_expert.begin())];
    }
  }
  return taken;
}

const LayerTogether& routes_of(const DispatchOptions& options, LayerId layer) {
  if (options.routes == nullptr) {
    throw InputError("dispatch",
                     "visited depends on which experts tokens choose together; expected routes");
  }
  MOESHIFT_CHECK(layer.index() < options.routes->layers.size());
  return options.routes->layers[layer.index()];
}

/// Gives every slot the copies that its rank and node take per pair computed there.
void add_copies(const LayerCopies& copies, const Topology& topology, std::size_t top_k,
                std::span<const double> chosen, LayerDispatch& shares) {
  const std::size_t per_rank = shares.size() / topology.ranks();
  std::vector<double> at_rank(topology.ranks(), 0);
  std::vector<double> at_node(topology.nodes(), 0);
  const auto node_of = [&](std::size_t slot) {
    return topology.node_of(RankId(slot / per_rank)).index();
  };
  for (std::size_t slot = 0; slot < shares.size(); ++slot) {
    const double pairs = chosen[shares[slot].expert] * shares[slot].total();
    at_rank[slot / per_rank] += pairs;
    at_node[node_of(slot)] += pairs;
  }
  // A copy is made for one pair at least and for top_k at most.
  const double fewest = 1 / static_cast<double>(top_k);
  for (std::size_t slot = 0; slot < shares.size(); ++slot) {
    const double pairs = at_rank[slot / per_rank];
    const double of_node = at_node[node_of(slot)];
    if (pairs <= 0 || of_node <= 0) continue;
    shares[slot].copies = std::clamp(copies.at_rank[slot / per_rank] / pairs, fewest, 1.0);
    shares[slot].node_copies = std::clamp(copies.at_node[node_of(slot)] / of_node, fewest, 1.0);
  }
}

/// Pairs (token, expert) per token of every expert, as the figures of `copies` were counted.
std::vector<double> chosen_of(const LayerTogether& together, CopiesFrom from) {
  std::vector<double> chosen(together.pairs.experts(), 0);
  if (from == CopiesFrom::kTokens) {
    const double each = 1 / static_cast<double>(together.sample.size());
    for (const std::uint16_t e : together.sample.experts) chosen[e] += each;
    return chosen;
  }
  const double tokens = std::max(1.0, static_cast<double>(together.tokens));
  for (std::size_t e = 0; e < chosen.size(); ++e) chosen[e] = together.pairs(e, e) / tokens;
  return chosen;
}

}  // namespace

DispatchRule parse_dispatch_rule(std::string_view name) {
  static constexpr std::array<std::string_view, 5> kNames{"even", "nearest", "random", "lp",
                                                          "visited"};
  return static_cast<DispatchRule>(index_of_name("dispatch rule", name, kNames));
}

namespace {

/// All of dispatch_shares() but the copies.
LayerDispatch bare_shares(const Placement& placement, LayerId layer, const Topology& topology,
                          const DispatchOptions& options, std::span<const double> load) {
  check_machine(placement, topology);
  MOESHIFT_CHECK(load.empty() || load.size() == placement.experts());
  if (options.rule == DispatchRule::kLp && load.empty()) {
    throw InputError("", "lp dispatch depends on the load of a step, which is not known here");
  }
  Sharing sharing(placement, layer, topology, options.silent);
  check_holders(sharing, placement.experts(), layer, load);
  std::vector<std::vector<double>> best;
  if (options.rule == DispatchRule::kLp) {
    best = best_split(load, sharing.holders(), topology.ranks());
  }
  std::vector<std::vector<double>> taken;
  if (options.rule == DispatchRule::kVisited) {
    taken = taken_by_replicas(placement, layer, topology, routes_of(options, layer).sample);
  }
  Rng rng = Rng::stream(options.seed, layer.value());
  for (std::size_t e = 0; e < placement.experts(); ++e) {
    if (sharing.slots_of(e).empty()) continue;
    const bool loaded = !load.empty() && load[e] > 0;
    if (options.rule == DispatchRule::kNearest) {
      sharing.nearest(e);
    } else if (options.rule == DispatchRule::kVisited) {
      sharing.visited(e, taken[e]);
    } else if (options.rule == DispatchRule::kRandom && loaded) {
      sharing.as_drawn(e, draw(rng, load[e], sharing.slots_of(e).size()), load[e]);
    } else if (options.rule == DispatchRule::kLp && loaded) {
      sharing.as_drawn(e, best[e], load[e]);
    } else {
      sharing.evenly(e, options.rule == DispatchRule::kEven ? options.replica_bias : 0);
    }
  }
  return sharing.take();
}

}  // namespace

LayerDispatch dispatch_shares(const Placement& placement, LayerId layer, const Topology& topology,
                              const DispatchOptions& options, std::span<const double> load) {
  if (options.routes == nullptr || routes_of(options, layer).tokens == 0) {
    return bare_shares(placement, layer, topology, options, load);
  }
  return dispatch_shares(placement, layer, topology, options, load,
                         copies_under(placement, layer, topology, options));
}

LayerDispatch dispatch_shares(const Placement& placement, LayerId layer, const Topology& topology,
                              const DispatchOptions& options, std::span<const double> load,
                              const LayerCopies& copies) {
  LayerDispatch shares = bare_shares(placement, layer, topology, options, load);
  const LayerTogether& together = routes_of(options, layer);
  add_copies(copies, topology, options.routes->top_k, chosen_of(together, copies.from), shares);
  return shares;
}

LayerCopies copies_under(const Placement& placement, LayerId layer, const Topology& topology,
                         const DispatchOptions& options) {
  const LayerTogether& together = routes_of(options, layer);
  const bool sampled = together.sample.size() > 0;
  const bool nearest = options.rule == DispatchRule::kNearest;
  const ReplicaChoice choice = options.rule == DispatchRule::kVisited ? ReplicaChoice::kVisitedFirst
                               : nearest                              ? ReplicaChoice::kNearest
                                                                      : ReplicaChoice::kEven;
  if (choice == ReplicaChoice::kVisitedFirst && !sampled) {
    throw InputError("dispatch", "visited needs sampled tokens, the routes have none");
  }
  // Ranks of another world than the one that is placed on say nothing of where tokens start.
  const bool sources = together.by_source.size() == topology.ranks();
  if (sampled && sources) {
    return counted_copies(together.sample, placement, layer, topology, choice, options.silent);
  }
  if (sampled && !nearest) {
    RouteSample sample = together.sample;
    std::fill(sample.source.begin(), sample.source.end(), kUnknownSource);
    return counted_copies(sample, placement, layer, topology, choice, options.silent);
  }
  return estimated_copies(together, options.routes->top_k, placement, layer, topology, choice,
                          options.silent);
}

RankLoads rank_loads(const LoadMatrix& load, const Placement& placement, const Topology& topology,
                     const DispatchOptions& options) {
  RankLoads even = rank_loads(load, placement);  // also checks shapes and holders
  if (options.rule == DispatchRule::kEven && options.replica_bias == 0) return even;
  RankLoads loads(placement.layers(), placement.ranks(), 0.0);
  for (const LayerId layer : loads.row_ids()) {
    const std::span<const double> tokens = load.row(layer);
    const LayerDispatch shares = dispatch_shares(placement, layer, topology, options, tokens);
    for (std::size_t slot = 0; slot < shares.size(); ++slot) {
      loads(layer, placement.rank_of(SlotId(slot))) +=
          tokens[shares[slot].expert] * shares[slot].total();
    }
  }
  return loads;
}

}  // namespace moeshift
