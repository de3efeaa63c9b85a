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

bool holds_before(std::span<const ExpertId> held, std::uint32_t slot) {
  const auto before = held.first(slot);
  return std::find(before.begin(), before.end(), held[slot]) != before.end();
}

/// Calls body(expert, holder) for every rank that holds an expert, by rank.
template <class Body>
void for_each_holder(const Placement& old, LayerId layer, const IdVector<RankId, bool>& dead,
                     Body body) {
  for (const RankId rank : all_ids<RankId>(old.ranks())) {
    const std::span<const ExpertId> held = live_slots(old, layer, rank, dead);
    for (std::uint32_t slot = 0; slot < held.size(); ++slot) {
      if (!held[slot].is_none() && !holds_before(held, slot)) {
        body(held[slot], Holder{rank, slot});
      }
    }
  }
}

void find_holders(LayerNeeds& needs, const Placement& old, LayerId layer,
                  const IdVector<RankId, bool>& dead) {
  needs.first_holder.assign(old.experts() + 2, 0);
  for_each_holder(old, layer, dead, [&](ExpertId expert, const Holder&) {
    ++needs.first_holder[expert.index() + 2];
  });
  for (std::size_t i = 2; i < needs.first_holder.size(); ++i) {
    needs.first_holder[i] += needs.first_holder[i - 1];
  }
  needs.holders.resize(needs.first_holder.back());
  for_each_holder(old, layer, dead, [&](ExpertId expert, const Holder& holder) {
    needs.holders[needs.first_holder[expert.index() + 1]++] = holder;
  });
  needs.first_holder.pop_back();
}

void add_needs_of_rank(LayerNeeds& needs, RankId rank, std::span<const ExpertId> held,
                       std::span<const ExpertId> wanted) {
  for (std::uint32_t slot = 0; slot < wanted.size(); ++slot) {
    const ExpertId expert = wanted[slot];
    if (expert.is_none() || (slot < held.size() && held[slot] == expert)) continue;
    const auto local = std::find(held.begin(), held.end(), expert);
    if (local != held.end()) {
      needs.local.push_back({rank, expert, static_cast<std::uint32_t>(local - held.begin()), slot});
    } else if (holds_before(wanted, slot)) {
      needs.repeats.push_back({expert, rank, slot});
    } else {
      needs.arrivals.push_back({expert, rank, slot});
    }
  }
}

}  // namespace

LayerNeeds find_needs(const Placement& old, const Placement& next, LayerId layer,
                      const IdVector<RankId, bool>& dead) {
  LayerNeeds needs;
  find_holders(needs, old, layer, dead);
  needs.arrivals.reserve(next.slots());
  for (const RankId rank : all_ids<RankId>(next.ranks())) {
    add_needs_of_rank(needs, rank, live_slots(old, layer, rank, dead),
                      next.rank_slots(layer, rank));
  }
  std::sort(needs.arrivals.begin(), needs.arrivals.end());
  for (const Arrival& arrival : needs.arrivals) {
    if (!needs.holders_of(arrival.expert).empty()) continue;
    if (needs.unreachable.empty() || needs.unreachable.back() != arrival.expert) {
      needs.unreachable.push_back(arrival.expert);
    }
  }
  return needs;
}

}  // namespace moeshift
