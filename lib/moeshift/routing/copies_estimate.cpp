// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <numeric>

#include "moeshift/core/error.hpp"
#include "moeshift/routing/copies.hpp"
#include "moeshift/routing/tally.hpp"

namespace moeshift {
namespace {

/// Means and pairs of a set of parts (ranks or nodes) under one table of shares.
struct Moments {
  std::vector<double> mean, pairs;
  std::vector<std::size_t> experts;  ///< that the part holds
};

/// @param weight of an expert and of a pair of experts, per token.
template <class Weight, class PairWeight>
Moments moments_of(const Holders& holders, const ShareTable& table, bool by_node,
                   const Weight& weight, const PairWeight& pair_weight) {
  const std::size_t parts = by_node ? holders.nodes() : holders.ranks();
  std::vector<std::vector<std::pair<std::uint32_t, double>>> held(parts);
  for (std::size_t e = 0; e < holders.experts(); ++e) {
    for (const auto& [rank, share] : table.of(e)) {
      auto& list = held[by_node ? holders.node_of(rank) : rank];
      if (!list.empty() && list.back().first == e) {
        list.back().second += share;
      } else {
        list.emplace_back(static_cast<std::uint32_t>(e), share);
      }
    }
  }
  Moments moments{std::vector<double>(parts, 0), std::vector<double>(parts, 0), {}};
  for (std::size_t part = 0; part < parts; ++part) {
    moments.experts.push_back(held[part].size());
    for (std::size_t i = 0; i < held[part].size(); ++i) {
      const auto& [e, share] = held[part][i];
      moments.mean[part] += share * weight(e);
      for (std::size_t j = 0; j < i; ++j) {
        moments.pairs[part] += share * held[part][j].second * pair_weight(e, held[part][j].first);
      }
    }
  }
  return moments;
}

std::vector<double> chances_of(const Moments& moments, std::size_t top_k) {
  std::vector<double> chances;
  for (std::size_t i = 0; i < moments.mean.size(); ++i) {
    chances.push_back(
        chance_of_any(moments.mean[i], moments.pairs[i], std::min(top_k, moments.experts[i])));
  }
  return chances;
}

/// How often experts would be chosen, and together, if nothing but their loads mattered.
class IndependentPairs {
 public:
  IndependentPairs(std::span<const double> load, std::size_t top_k, const GroupLimit& limit)
      : limit_(limit), group_size_(std::max<std::size_t>(1, load.size() / limit.groups)) {
    MOESHIFT_CHECK(limit.groups >= 1 && limit.used >= 1 && limit.used <= limit.groups);
    const auto k = static_cast<double>(top_k);
    const double total = std::accumulate(load.begin(), load.end(), 0.0);
    open_.assign(limit.groups, 0);
    for (std::size_t e = 0; e < load.size(); ++e) {
      chosen_.push_back(total > 0 ? std::min(1.0, k * load[e] / total) : 0);
      if (total > 0) open_[group_of(e)] += load[e] / total * static_cast<double>(limit.used);
    }
    for (double& open : open_) open = std::min(open, 1.0);
    double products = 0;
    for (std::size_t a = 0; a < chosen_.size(); ++a) {
      for (std::size_t b = 0; b < a; ++b) products += together(a, b);
    }
    if (products > 0) scale_ = k * (k - 1) / 2 / products;
  }

  [[nodiscard]] double chosen(std::size_t e) const { return chosen_[e]; }
  /// Groups are open together less often than each alone, experts of one more often.
  [[nodiscard]] double together(std::size_t a, std::size_t b) const {
    const double both = scale_ * chosen_[a] * chosen_[b];
    if (limit_.used == limit_.groups) return both;
    if (group_of(a) == group_of(b)) return open_[group_of(a)] > 0 ? both / open_[group_of(a)] : 0;
    const auto groups = static_cast<double>(limit_.groups);
    const auto used = static_cast<double>(limit_.used);
    return both * (used - 1) * groups / (used * (groups - 1));
  }

 private:
  [[nodiscard]] std::size_t group_of(std::size_t e) const {
    return std::min(e / group_size_, limit_.groups - 1);
  }

  GroupLimit limit_;
  std::size_t group_size_;
  std::vector<double> chosen_;  ///< [experts] chance per token
  std::vector<double> open_;    ///< [groups] chance that a token may choose from it
  double scale_ = 1;            ///< so that all pairs add up to those of a token
};

/// Goes through the sources that matter and tallies what `chances_under` says of each table of
/// shares.
template <class Chances>
LayerCopies by_tables(const Holders& holders, ReplicaChoice choice, CopiesFrom from,
                      std::span<const RankId> silent, const Chances& chances_under) {
  MOESHIFT_CHECK(choice != ReplicaChoice::kVisitedFirst);
  Tally tally(holders, sources_of(holders.ranks(), silent), from);
  if (choice == ReplicaChoice::kEven) {
    const ShareTable table(holders, choice, 0);
    const std::vector<double> ranks = chances_under(table, false);
    const std::vector<double> nodes = chances_under(table, true);
    for (std::size_t r = 0; r < ranks.size(); ++r) tally.rank_from_all(r, ranks[r]);
    for (std::size_t n = 0; n < nodes.size(); ++n) tally.node_from_all(n, nodes[n]);
    return tally.take(1);
  }
  for (const std::size_t source : tally.sources()) {
    const ShareTable table(holders, choice, source);
    const std::vector<double> ranks = chances_under(table, false);
    const std::vector<double> nodes = chances_under(table, true);
    for (std::size_t r = 0; r < ranks.size(); ++r) tally.rank_from(source, r, ranks[r]);
    for (std::size_t n = 0; n < nodes.size(); ++n) tally.node_from(source, n, nodes[n]);
  }
  return tally.take(static_cast<double>(tally.sources().size()));
}

}  // namespace

double chance_of_any(double mean, double pairs, std::size_t most) {
  const auto k = static_cast<double>(most);
  if (mean <= 0) return 0;
  if (most <= 1) return std::min(mean, 1.0);
  const double p = std::min(mean / k, 1.0);
  const double variance = pairs / (k * (k - 1) / 2) - p * p;
  const double rest = p * (1 - p) - variance;
  // All of a token's experts together, or none: the chance is that of each.
  if (rest <= 1e-12) return std::clamp(p, 0.0, 1.0);
  const double contagion = variance / rest;
  double none = 1;
  for (std::size_t i = 0; i < most && none > 0; ++i) {
    const double before = static_cast<double>(i) * contagion;
    if (1 - p + before <= 0 || 1 + before <= 0) return std::min(mean, 1.0);
    none *= (1 - p + before) / (1 + before);
  }
  // At least as often as its second moment demands, at most as often as its mean allows.
  return std::clamp(1 - none, std::min(1.0, mean * mean / (mean + 2 * pairs)), std::min(mean, 1.0));
}

LayerCopies estimated_copies(const LayerTogether& together, std::size_t top_k,
                             const Placement& placement, LayerId layer, const Topology& topology,
                             ReplicaChoice choice, std::span<const RankId> silent) {
  const Holders holders(placement, layer, topology);
  const PairCounts& pairs = together.pairs;
  for (std::size_t e = 0; e < pairs.experts(); ++e) {
    if (pairs(e, e) > 0) check_holder(holders, e, layer);
  }
  const double tokens = std::max(1.0, static_cast<double>(together.tokens));
  const auto count = [&](std::size_t a, std::size_t b) { return pairs(a, b) / tokens; };
  const auto chances = [&](const ShareTable& table, bool by_node) {
    const auto own = [&](std::size_t e) { return count(e, e); };
    return chances_of(moments_of(holders, table, by_node, own, count), top_k);
  };
  return by_tables(holders, choice, CopiesFrom::kPairs, silent, chances);
}

LayerCopies independent_copies(std::span<const double> load, std::size_t top_k,
                               const GroupLimit& limit, const Placement& placement, LayerId layer,
                               const Topology& topology, ReplicaChoice choice,
                               std::span<const RankId> silent) {
  const Holders holders(placement, layer, topology);
  for (std::size_t e = 0; e < load.size(); ++e) {
    if (load[e] > 0) check_holder(holders, e, layer);
  }
  const IndependentPairs pairs(load, top_k, limit);
  const auto chances = [&](const ShareTable& table, bool by_node) {
    const Moments moments = moments_of(
        holders, table, by_node, [&](std::size_t e) { return pairs.chosen(e); },
        [&](std::size_t a, std::size_t b) { return pairs.together(a, b); });
    return chances_of(moments, top_k);
  };
  const ReplicaChoice shared =
      choice == ReplicaChoice::kVisitedFirst ? ReplicaChoice::kEven : choice;
  return by_tables(holders, shared, CopiesFrom::kIndependence, silent, chances);
}

}  // namespace moeshift
