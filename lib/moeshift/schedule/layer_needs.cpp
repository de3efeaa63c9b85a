// SPDX-License-Identifier: Apache-2.0
#include "moeshift/schedule/layer_needs.hpp"

#include <algorithm>
#include <span>

namespace moeshift {
namespace {

std::span<const ExpertId> live_slots(const Placement& placement, LayerId layer, RankId rank,
                                     const IdVector<RankId, bool>& dead) {
  if (rank.index() >= placement.ranks() || dead[rank]) return {};
  return placement.rank_slots(layer, rank);
}

void add_holders(LayerNeeds& needs, RankId rank, std::span<const ExpertId> held) {
  for (std::uint32_t slot = 0; slot < held.size(); ++slot) {
    if (held[slot].is_none()) continue;
    std::vector<Holder>& holders = needs.holders[held[slot]];
    if (holders.empty() || holders.back().rank != rank) holders.push_back({rank, slot});
  }
}

void add_needs_of_rank(LayerNeeds& needs, RankId rank, std::span<const ExpertId> held,
                       std::span<const ExpertId> wanted) {
  const std::size_t first_arrival = needs.arrivals.size();
  for (std::uint32_t slot = 0; slot < wanted.size(); ++slot) {
    const ExpertId expert = wanted[slot];
    if (expert.is_none() || (slot < held.size() && held[slot] == expert)) continue;
    const auto local = std::find(held.begin(), held.end(), expert);
    if (local != held.end()) {
      needs.local.push_back({rank, expert, static_cast<std::uint32_t>(local - held.begin()), slot});
      continue;
    }
    const auto known =
        std::find_if(needs.arrivals.begin() + static_cast<std::ptrdiff_t>(first_arrival),
                     needs.arrivals.end(), [&](const Arrival& a) { return a.expert == expert; });
    if (known != needs.arrivals.end()) {
      known->slots.push_back(slot);
    } else {
      needs.arrivals.push_back({expert, rank, {slot}});
    }
  }
}

}  // namespace

LayerNeeds find_needs(const Placement& old, const Placement& next, LayerId layer,
                      const IdVector<RankId, bool>& dead) {
  LayerNeeds needs;
  needs.holders.assign(next.experts(), {});
  for (const RankId rank : all_ids<RankId>(old.ranks())) {
    add_holders(needs, rank, live_slots(old, layer, rank, dead));
  }
  for (const RankId rank : all_ids<RankId>(next.ranks())) {
    add_needs_of_rank(needs, rank, live_slots(old, layer, rank, dead),
                      next.rank_slots(layer, rank));
  }
  std::sort(needs.arrivals.begin(), needs.arrivals.end(), [](const Arrival& a, const Arrival& b) {
    return std::pair(a.expert, a.rank) < std::pair(b.expert, b.rank);
  });
  for (const Arrival& arrival : needs.arrivals) {
    if (!needs.holders[arrival.expert].empty()) continue;
    if (needs.unreachable.empty() || needs.unreachable.back() != arrival.expert) {
      needs.unreachable.push_back(arrival.expert);
    }
  }
  return needs;
}

}  // namespace moeshift
