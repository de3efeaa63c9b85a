// SPDX-License-Identifier: Apache-2.0
#include "moeshift/schedule/layer_needs.hpp"

#include <algorithm>
#include <span>

namespace moeshift {
namespace {

bool holds_before(std::span<const ExpertId> held, std::uint32_t slot) {
  const auto before = held.first(slot);
  return std::find(before.begin(), before.end(), held[slot]) != before.end();
}

/// Calls body(expert, holder) for every rank that holds an expert, by rank.
template <class Body>
void for_each_holder(const LayerSlots& old, Body body) {
  for (const RankId rank : old.row_ids()) {
    const std::span<const ExpertId> held = old.row(rank);
    for (std::uint32_t slot = 0; slot < held.size(); ++slot) {
      if (!held[slot].is_none() && !holds_before(held, slot)) {
        body(held[slot], Holder{rank, slot});
      }
    }
  }
}

void find_holders(LayerNeeds& needs, const LayerSlots& old, std::size_t experts) {
  needs.first_holder.assign(experts + 2, 0);
  for_each_holder(
      old, [&](ExpertId expert, const Holder&) { ++needs.first_holder[expert.index() + 2]; });
  for (std::size_t i = 2; i < needs.first_holder.size(); ++i) {
    needs.first_holder[i] += needs.first_holder[i - 1];
  }
  needs.holders.resize(needs.first_holder.back());
  for_each_holder(old, [&](ExpertId expert, const Holder& holder) {
    needs.holders[needs.first_holder[expert.index() + 1]++] = holder;
  });
  needs.first_holder.pop_back();
}

void find_leaving(LayerNeeds& needs, const LayerSlots& next, std::size_t experts) {
  needs.leaving.assign(needs.holders.size(), 0);
  for (const ExpertId expert : all_ids<ExpertId>(experts)) {
    for (std::uint32_t i = needs.first_holder[expert.index()];
         i < needs.first_holder[expert.index() + 1]; ++i) {
      const auto wanted = next.row(needs.holders[i].rank);
      const bool stays = std::find(wanted.begin(), wanted.end(), expert) != wanted.end();
      needs.leaving[i] = stays ? 0 : 1;
    }
  }
}

void add_needs_of_rank(LayerNeeds& needs, RankId rank, std::span<const ExpertId> held,
                       std::span<const ExpertId> wanted) {
  for (std::uint32_t slot = 0; slot < wanted.size(); ++slot) {
    const ExpertId expert = wanted[slot];
    if (expert.is_none() || held[slot] == expert) continue;
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

LayerSlots layer_slots(const Placement& placement, LayerId layer, std::size_t ranks,
                       std::size_t slots_per_rank, const IdVector<RankId, bool>& dead) {
  LayerSlots slots(ranks, slots_per_rank, ExpertId::none());
  for (const RankId rank : all_ids<RankId>(placement.ranks())) {
    if (dead[rank]) continue;
    const auto held = placement.rank_slots(layer, rank);
    std::copy(held.begin(), held.end(), slots.row(rank).begin());
  }
  return slots;
}

LayerNeeds find_needs(const LayerSlots& old, const LayerSlots& next, std::size_t experts) {
  LayerNeeds needs;
  find_holders(needs, old, experts);
  find_leaving(needs, next, experts);
  needs.arrivals.reserve(next.items().size());
  for (const RankId rank : next.row_ids()) {
    add_needs_of_rank(needs, rank, old.row(rank), next.row(rank));
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
