// SPDX-License-Identifier: Apache-2.0
// Which exchanges tell the resources of the cost model apart.
#include <algorithm>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "moeshift/calibrate/calibration.hpp"
#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

using Pairs = std::vector<std::pair<std::size_t, std::size_t>>;

/// The largest size of a pattern: no rank sends or receives more than a few of the largest
/// messages.
bool fits(const Pairs& pairs, std::size_t ranks, Bytes bytes, Bytes largest) {
  constexpr std::int64_t kMost = 4;
  std::vector<std::int64_t> out(ranks, 0);
  std::vector<std::int64_t> in(ranks, 0);
  std::int64_t busiest = 0;
  for (const auto& [source, destination] : pairs) {
    busiest = std::max({busiest, ++out[source], ++in[destination]});
  }
  return bytes * busiest <= largest * kMost;
}

/// Every rank sends to the next `degree` ones.
Pairs shifts(std::size_t ranks, std::size_t degree) {
  Pairs pairs;
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    for (std::size_t shift = 1; shift <= degree; ++shift) {
      pairs.emplace_back(rank, (rank + shift) % ranks);
    }
  }
  return pairs;
}

/// Name and pairs of every pattern for so many ranks.
std::vector<std::pair<std::string, Pairs>> patterns(std::size_t ranks) {
  std::vector<std::pair<std::string, Pairs>> all = {{"pair", {{0, 1}}}};
  for (std::size_t degree = 2; degree < ranks; degree *= 2) {
    Pairs out;
    Pairs in;
    for (std::size_t peer = 1; peer <= degree; ++peer) {
      out.emplace_back(0, peer);
      in.emplace_back(peer, 0);
    }
    all.emplace_back(fmt::format("fan-out {}", degree), out);
    all.emplace_back(fmt::format("fan-in {}", degree), in);
  }
  for (std::size_t count = 2; 2 * count <= ranks; count *= 2) {
    Pairs disjoint;
    for (std::size_t i = 0; i < count; ++i) disjoint.emplace_back(2 * i, 2 * i + 1);
    all.emplace_back(fmt::format("disjoint {}", count), disjoint);
  }
  for (std::size_t degree = 1; degree < ranks; degree *= 2) {
    all.emplace_back(fmt::format("ring {}", degree), shifts(ranks, degree));
  }
  if (ranks > 2) all.emplace_back("all to all", shifts(ranks, ranks - 1));
  return all;
}

/// Every rank sends to the ranks in its position of the next `degree` nodes.
Pairs node_rings(const std::vector<std::vector<RankId>>& nodes, std::size_t degree) {
  Pairs pairs;
  for (std::size_t node = 0; node < nodes.size(); ++node) {
    for (std::size_t shift = 1; shift <= degree; ++shift) {
      const auto& next = nodes[(node + shift) % nodes.size()];
      for (std::size_t i = 0; i < std::min(nodes[node].size(), next.size()); ++i) {
        pairs.emplace_back(nodes[node][i].index(), next[i].index());
      }
    }
  }
  return pairs;
}

/// Name and pairs of every pattern between nodes.
std::vector<std::pair<std::string, Pairs>> crossing_patterns(const Topology& topology) {
  std::vector<std::vector<RankId>> nodes;
  for (const NodeId node : all_ids<NodeId>(topology.nodes())) {
    nodes.push_back(topology.ranks_of(node));
  }
  const std::vector<RankId>& first = nodes[0];
  const std::vector<RankId>& second = nodes[1];
  const std::size_t hub = first.front().index();
  Pairs all_out;  // from the hub to every rank elsewhere
  Pairs all;
  for (const RankId a : all_ids<RankId>(topology.ranks())) {
    for (const RankId b : all_ids<RankId>(topology.ranks())) {
      if (topology.node_of(a) == topology.node_of(b)) continue;
      all.emplace_back(a.index(), b.index());
      if (a.index() == hub) all_out.emplace_back(a.index(), b.index());
    }
  }
  std::vector<std::pair<std::string, Pairs>> patterns = {{"pair", {{hub, second.front().index()}}}};
  for (std::size_t degree = 2; degree <= all_out.size(); degree *= 2) {
    const Pairs out(all_out.begin(), all_out.begin() + static_cast<std::ptrdiff_t>(degree));
    Pairs in;
    for (const auto& [here, peer] : out) in.emplace_back(peer, here);
    patterns.emplace_back(fmt::format("fan-out {}", degree), out);
    patterns.emplace_back(fmt::format("fan-in {}", degree), in);
  }
  for (std::size_t count = 2; count <= std::min(first.size(), second.size()); count *= 2) {
    Pairs pairs;
    for (std::size_t i = 0; i < count; ++i) {
      pairs.emplace_back(first[i].index(), second[i].index());
    }
    patterns.emplace_back(fmt::format("disjoint {}", count), pairs);
  }
  for (std::size_t degree = 1; degree < topology.nodes(); degree *= 2) {
    patterns.emplace_back(fmt::format("ring {}", degree), node_rings(nodes, degree));
  }
  patterns.emplace_back("all to all", std::move(all));
  return patterns;
}

/// Every pattern in every size that is not too much for it.
std::vector<ExchangeSample> in_all_sizes(const std::vector<std::pair<std::string, Pairs>>& patterns,
                                         std::size_t ranks, Bytes largest) {
  std::vector<ExchangeSample> samples;
  for (const auto& [name, pairs] : patterns) {
    for (Bytes bytes(4096); bytes <= largest; bytes = bytes * 4) {
      if (!fits(pairs, ranks, bytes, largest)) continue;
      ExchangeSample sample;
      sample.pattern = name;
      for (const auto& [source, destination] : pairs) {
        sample.messages.push_back({RankId(source), RankId(destination), bytes});
      }
      samples.push_back(std::move(sample));
    }
  }
  return samples;
}

}  // namespace

std::vector<ExchangeSample> designed_exchanges(std::size_t ranks, Bytes largest) {
  return in_all_sizes(patterns(ranks), ranks, largest);
}

std::vector<ExchangeSample> designed_crossings(const Topology& topology, Bytes largest) {
  MOESHIFT_CHECK(topology.nodes() >= 2);
  return in_all_sizes(crossing_patterns(topology), topology.ranks(), largest);
}

}  // namespace moeshift
