// SPDX-License-Identifier: Apache-2.0
#include "moeshift/routing/replica_shares.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/routing/route_summary.hpp"

namespace moeshift {

std::size_t visited_choice(std::uint64_t token, std::uint32_t expert, std::size_t candidates) {
  return candidates == 1 ? 0
                         : (draw_hash(token * 0x2545f4914f6cdd1dULL + expert) >> 11U) % candidates;
}

Holders::Holders(const Placement& placement, LayerId layer, const Topology& topology)
    : nodes_(topology.nodes()), first_(placement.experts() + 1, 0) {
  if (topology.ranks() != placement.ranks()) {
    throw InputError("", fmt::format("the placement has {} ranks, the machine {}",
                                     placement.ranks(), topology.ranks()));
  }
  for (const RankId rank : all_ids<RankId>(topology.ranks())) {
    const NodeId node = topology.node_of(rank);
    node_of_.push_back(static_cast<std::uint32_t>(node.index()));
    rack_of_.push_back(static_cast<std::uint32_t>(topology.rack_of(node).index()));
  }
  const std::span<const ExpertId> slots = placement.layer(layer);
  for (const ExpertId e : slots) {
    if (!e.is_none()) ++first_[e.index() + 1];
  }
  for (std::size_t e = 0; e < placement.experts(); ++e) first_[e + 1] += first_[e];
  ranks_.resize(first_.back());
  std::vector<std::size_t> next(first_.begin(), first_.end() - 1);
  for (std::size_t s = 0; s < slots.size(); ++s) {
    if (slots[s].is_none()) continue;
    ranks_[next[slots[s].index()]++] = placement.rank_of(SlotId(s)).value();
  }
}

void Holders::shares(std::size_t expert, ReplicaChoice choice, std::size_t source,
                     std::vector<RankShare>& out) const {
  const auto holders = of(expert);
  out.clear();
  const auto distance = [&](std::uint32_t rank) {
    return choice == ReplicaChoice::kEven ? LinkClass::kInterNode
                                          : std::min(link(source, rank), LinkClass::kInterNode);
  };
  LinkClass least = LinkClass::kInterNode;
  for (const std::uint32_t rank : holders) least = std::min(least, distance(rank));
  const auto alike = static_cast<double>(std::count_if(
      holders.begin(), holders.end(), [&](std::uint32_t rank) { return distance(rank) == least; }));
  for (const std::uint32_t rank : holders) {
    if (distance(rank) != least) continue;
    if (!out.empty() && out.back().rank == rank) {
      out.back().share += 1 / alike;
    } else {
      out.push_back({rank, 1 / alike});
    }
  }
}

void Holders::visit(std::uint64_t token, std::span<const std::uint16_t> row,
                    std::vector<std::uint32_t>& out) const {
  out.assign(row.size(), 0);
  std::vector<std::size_t> order(row.size());
  for (std::size_t i = 0; i < row.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return std::pair(of(row[a]).size(), row[a]) < std::pair(of(row[b]).size(), row[b]);
  });
  std::vector<std::uint32_t> candidates;
  for (std::size_t done = 0; done < order.size(); ++done) {
    const auto holders = of(row[order[done]]);
    const auto among = [&](const auto& fits) {
      candidates.clear();
      for (const std::uint32_t rank : holders) {
        for (std::size_t before = 0; before < done; ++before) {
          if (!fits(rank, out[order[before]])) continue;
          candidates.push_back(rank);
          break;
        }
      }
      return !candidates.empty();
    };
    const bool visited =
        among([](std::uint32_t a, std::uint32_t b) { return a == b; }) ||
        among([&](std::uint32_t a, std::uint32_t b) { return node_of_[a] == node_of_[b]; });
    if (!visited) candidates.assign(holders.begin(), holders.end());
    out[order[done]] = candidates[visited_choice(token, row[order[done]], candidates.size())];
  }
}

}  // namespace moeshift
