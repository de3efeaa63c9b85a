// SPDX-License-Identifier: Apache-2.0
#include "moeshift/cost/dispatch.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/core/rng.hpp"
#include "moeshift/core/suggest.hpp"
#include "moeshift/cost/best_split.hpp"

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
    throw InputError(
        "", fmt::format("layer {}: no slot holds expert {}, so its tokens cannot be served",
                        layer.value(), e));
  }
}

}  // namespace

DispatchRule parse_dispatch_rule(std::string_view name) {
  static constexpr std::array<std::string_view, 4> kNames{"even", "nearest", "random", "lp"};
  return static_cast<DispatchRule>(index_of_name("dispatch rule", name, kNames));
}

LayerDispatch dispatch_shares(const Placement& placement, LayerId layer, const Topology& topology,
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
  Rng rng = Rng::stream(options.seed, layer.value());
  for (std::size_t e = 0; e < placement.experts(); ++e) {
    if (sharing.slots_of(e).empty()) continue;
    const bool loaded = !load.empty() && load[e] > 0;
    if (options.rule == DispatchRule::kNearest) {
      sharing.nearest(e);
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
