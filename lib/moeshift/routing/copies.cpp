// SPDX-License-Identifier: Apache-2.0
#include "moeshift/routing/copies.hpp"

#include <algorithm>
#include <numeric>

#include "moeshift/core/error.hpp"
#include "moeshift/routing/tally.hpp"

namespace moeshift {
namespace {

/// Chances of one token to come to each rank and node, from its experts' shares.
class TokenChances {
 public:
  explicit TokenChances(const Holders& holders)
      : holders_(holders),
        miss_rank_(holders.ranks(), 1),
        miss_node_(holders.nodes(), 1),
        share_of_node_(holders.nodes(), 0) {}

  void set(std::span<const std::uint16_t> row, const ShareTable& table) {
    for (const std::uint32_t rank : ranks_) miss_rank_[rank] = 1;
    for (const std::uint32_t node : nodes_) miss_node_[node] = 1;
    ranks_.clear();
    nodes_.clear();
    for (const std::uint16_t e : row) {
      touched_.clear();
      for (const auto& [rank, share] : table.of(e)) {
        if (miss_rank_[rank] == 1) ranks_.push_back(rank);
        miss_rank_[rank] *= 1 - share;
        const std::uint32_t node = holders_.node_of(rank);
        if (share_of_node_[node] == 0) touched_.push_back(node);
        share_of_node_[node] += share;
      }
      for (const std::uint32_t node : touched_) {
        if (miss_node_[node] == 1) nodes_.push_back(node);
        miss_node_[node] *= std::max(0.0, 1 - share_of_node_[node]);
        share_of_node_[node] = 0;
      }
    }
  }
  /// Calls rank(index, chance) and node(index, chance) for all that the token may come to.
  template <class Rank, class Node>
  void tell(const Rank& rank, const Node& node) const {
    for (const std::uint32_t r : ranks_) rank(r, 1 - miss_rank_[r]);
    for (const std::uint32_t n : nodes_) node(n, 1 - miss_node_[n]);
  }

 private:
  const Holders& holders_;
  std::vector<double> miss_rank_, miss_node_, share_of_node_;
  std::vector<std::uint32_t> ranks_, nodes_, touched_;
};

void add_from_all(TokenChances& chances, Tally& tally) {
  chances.tell([&](std::size_t r, double p) { tally.rank_from_all(r, p); },
               [&](std::size_t n, double p) { tally.node_from_all(n, p); });
}

void add_from(TokenChances& chances, std::size_t source, double weight, Tally& tally) {
  chances.tell([&](std::size_t r, double p) { tally.rank_from(source, r, p * weight); },
               [&](std::size_t n, double p) { tally.node_from(source, n, p * weight); });
}

void add_shared(const RouteSample& sample, const Holders& holders, ReplicaChoice choice,
                Tally& tally) {
  TokenChances chances(holders);
  std::vector<ShareTable> tables;
  const std::size_t number = choice == ReplicaChoice::kEven ? 1 : holders.ranks();
  for (std::size_t source = 0; source < number; ++source)
    tables.emplace_back(holders, choice, source);
  for (std::size_t i = 0; i < sample.size(); ++i) {
    const bool known = sample.source[i] < holders.ranks();
    if (choice == ReplicaChoice::kEven) {
      chances.set(sample.row(i), tables.front());
      known ? add_from(chances, sample.source[i], 1, tally) : add_from_all(chances, tally);
    } else if (known) {
      chances.set(sample.row(i), tables[sample.source[i]]);
      add_from(chances, sample.source[i], 1, tally);
    } else {
      for (const std::size_t source : tally.sources()) {
        chances.set(sample.row(i), tables[source]);
        add_from(chances, source, 1 / static_cast<double>(tally.sources().size()), tally);
      }
    }
  }
}

void add_visited(const RouteSample& sample, const Holders& holders, Tally& tally) {
  std::vector<std::uint32_t> ranks;
  std::vector<std::uint32_t> nodes;
  for (std::size_t i = 0; i < sample.size(); ++i) {
    holders.visit(sample.token[i], sample.row(i), ranks);
    std::sort(ranks.begin(), ranks.end());
    ranks.erase(std::unique(ranks.begin(), ranks.end()), ranks.end());
    nodes.clear();
    for (const std::uint32_t rank : ranks) nodes.push_back(holders.node_of(rank));
    nodes.erase(std::unique(nodes.begin(), nodes.end()), nodes.end());
    const bool known = sample.source[i] < holders.ranks();
    for (const std::uint32_t r : ranks) {
      known ? tally.rank_from(sample.source[i], r, 1) : tally.rank_from_all(r, 1);
    }
    for (const std::uint32_t n : nodes) {
      known ? tally.node_from(sample.source[i], n, 1) : tally.node_from_all(n, 1);
    }
  }
}

}  // namespace

std::string_view name_of(CopiesFrom from) {
  static constexpr std::array<std::string_view, 3> kNames{"tokens", "pairs", "independence"};
  return kNames[static_cast<std::size_t>(from)];
}

std::array<double, kLinkClasses> LayerCopies::by_link() const {
  std::array<double, kLinkClasses> sum{};
  for (const auto& rank : arriving) {
    for (std::size_t link = 0; link < kLinkClasses; ++link) sum[link] += rank[link];
  }
  return sum;
}

double LayerCopies::crossing() const {
  return std::accumulate(entering.begin(), entering.end(), 0.0);
}

LayerCopies counted_copies(const RouteSample& sample, const Placement& placement, LayerId layer,
                           const Topology& topology, ReplicaChoice choice,
                           std::span<const RankId> silent) {
  const Holders holders(placement, layer, topology);
  if (sample.size() == 0) throw InputError("routes", "expected at least one token of every layer");
  for (const std::uint16_t e : sample.experts) check_holder(holders, e, layer);
  Tally tally(holders, sources_of(holders.ranks(), silent), CopiesFrom::kTokens);
  if (choice == ReplicaChoice::kVisitedFirst) {
    add_visited(sample, holders, tally);
  } else {
    add_shared(sample, holders, choice, tally);
  }
  return tally.take(static_cast<double>(sample.size()));
}

}  // namespace moeshift
