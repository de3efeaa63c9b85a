// SPDX-License-Identifier: Apache-2.0
// The replacements that WindowSearch considers: a replica of one expert in the place of another's.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "moeshift/plan/search/window_search.hpp"

namespace moeshift {

/// What Phi gains at most when a replica goes: its rank is spared it, the other holders share what
/// it carried. @pre the expert has another replica.
float WindowSearch::value_of_dropping(std::size_t slot) const {
  const std::uint32_t dropped = state_.expert(slot);
  const std::uint32_t count = state_.count(dropped);
  const auto copies = static_cast<float>(count);
  const float shared_out =
      (state_.pull_of_all(dropped) / (copies + 1)) * (copies + 1) / (copies - 1) +
      steadied(dropped, count - 1);
  return state_.pull(slot) * (copies / (copies - 1)) - shared_out;
}

void WindowSearch::find_spares() {
  spares_.clear();
  for (std::size_t rank = 0; rank < state_.ranks(); ++rank) {
    spares_before_[rank] = static_cast<std::uint32_t>(spares_.size());
    for (std::size_t slot = rank * k_; slot < (rank + 1) * k_; ++slot) {
      if (state_.count(state_.expert(slot)) < 2) continue;
      spares_.push_back({static_cast<std::uint32_t>(slot), value_of_dropping(slot)});
    }
  }
  spares_before_.back() = static_cast<std::uint32_t>(spares_.size());
}

/// Another replica of one of the hot rank's experts, in the place of a spare one elsewhere.
void WindowSearch::try_spreading(std::size_t hot, std::size_t rank, Candidate& best) {
  for (const auto& [slot, value] : spares_on(rank)) {
    if (value + most_spread_ <= best.score * kLeastCost || !may_leave(slot)) continue;
    look_from(hot, rank);
    if (!bound_spreading(hot, slot, value, best)) continue;
    for (std::size_t i = 0; i < k_; ++i) {
      if (!worth(gain_[i], at_rank_.price[i] - paid_[slot], best)) continue;
      const float ceiling = value + hot_.spread_first_order[i] - at_rank_.pull[i] * hot_.kept[i];
      if (ceiling > best.score * kLeastCost) {
        try_replacement(slot, state_.expert(hot * k_ + i), ceiling, best);
      }
    }
  }
}

/// Bounds for all of the hot rank's experts in a slot, by means over windows and to first order at
/// its rank; into `gain_`.
/// @return whether any of them could be the best.
bool WindowSearch::bound_spreading(std::size_t hot, std::size_t slot, float value,
                                   const Candidate& best) {
  const std::size_t rank = state_.rank_of(slot);
  const std::uint32_t dropped = state_.expert(slot);
  const float per_square = state_.part_per_square();
  const float part = state_.part(rank);
  const float excess = state_.mean_excess(rank);
  const float slow = state_.slowness(rank);
  const float out = state_.mean_share(dropped);
  const float spared = state_.pull(slot);
  const float elsewhere = value - spared;
  const float paid = paid_[slot];
  const float score = best.score;
  // Where the hot rank takes over some of what is dropped only first orders can be added up.
  const bool shared = state_.holds(hot, dropped);
  const float* spread = shared ? hot_.spread_first_order.data() : hot_.spread.data();
  const float* share = hot_.share.data();
  const float* kept = hot_.kept.data();
  const float* pull = at_rank_.pull.data();
  const float* price = at_rank_.price.data();
  float* __restrict gain = gain_.data();
  unsigned any = 0;
  for (std::size_t i = 0; i < padded_; ++i) {
    const float first_order = spared - pull[i] * kept[i];
    const float more = above_zero(excess + slow * (share[i] * kept[i] - out));
    const float by_mean = part - per_square * more * more;
    const float cost = price[i] - paid;
    gain[i] = (first_order < by_mean ? first_order : by_mean) + spread[i] + elsewhere;
    any |= gain[i] > score * (cost > kLeastCost ? cost : kLeastCost) ? 1U : 0U;
  }
  return any != 0;
}

/// A colder expert in the place of a spare replica on the hot rank.
void WindowSearch::try_cooling(std::size_t hot, Candidate& best) {
  const std::span<const Spare> spares = spares_on(hot);
  if (spares.empty()) return;
  prepare_cooling(hot);
  for (const auto& [slot, value] : spares) {
    if (!may_leave(slot)) continue;
    bound_cooling(hot, slot, value);
    const auto experts = static_cast<std::uint32_t>(state_.experts());
    const float* gain = cooling_.gain.data();
    for (std::uint32_t e = 0; e < experts; ++e) {
      if (gain[e] <= best.score * kLeastCost) continue;
      if (!worth(gain[e], cooling_.price[e] - paid_[slot], best)) continue;
      const auto copies = static_cast<float>(state_.count(e));
      const float ceiling =
          value + (cooling_.elsewhere[e] - state_.pull_at(hot, e) * copies / (copies + 1));
      if (ceiling > best.score * kLeastCost) try_replacement(slot, e, ceiling, best);
    }
  }
}

/// What another replica of each expert on the hot rank is worth elsewhere at most, and its price.
void WindowSearch::prepare_cooling(std::size_t hot) {
  const float* pull = state_.pulls_of_all().data();
  const float* share = state_.mean_shares().data();
  const float* variance = variance_.data();
  const float* thinner = thinner_.data();
  const float* steadier = steadier_.data();
  const float* price = prices_at(hot);
  const float* units = units_of_more_.data();
  float* __restrict elsewhere = cooling_.elsewhere.data();
  float* __restrict kept = cooling_.kept.data();
  float* __restrict cost = cooling_.price.data();
  const std::size_t experts = state_.experts();
  // One result a loop, so that compilers can tell the arrays apart.
  for (std::size_t e = 0; e < experts; ++e) {
    elsewhere[e] = pull[e] * thinner[e] + variance[e] * steadier[e];
  }
  for (std::size_t e = 0; e < experts; ++e) kept[e] = (1 - thinner[e]) * share[e];
  for (std::size_t e = 0; e < experts; ++e) cost[e] = price[e] * units[e];
}

/// What the other holders of a slot's expert lose when it goes.
float WindowSearch::loss_of_others(std::size_t slot) const {
  const std::uint32_t dropped = state_.expert(slot);
  const float thicker = 1.0F / static_cast<float>(state_.count(dropped) - 1);
  const float* out = state_.share(dropped);
  float loss = 0;
  for (std::uint32_t s = state_.first_slot(dropped); s != WindowState::kNoSlot;
       s = state_.next_slot(s)) {
    const std::size_t g = state_.rank_of(s);
    if (s == slot) continue;
    loss += state_.part_with(g, [&](std::size_t t) { return out[t] * thicker; }) - state_.part(g);
  }
  return loss;
}

/// Bounds for all experts in a slot of the hot rank, by means over windows there; into
/// `cooling_.gain`.
void WindowSearch::bound_cooling(std::size_t hot, std::size_t slot, float value) {
  const std::uint32_t dropped = state_.expert(slot);
  const float per_square = state_.part_per_square();
  const float excess = state_.mean_excess(hot) - state_.slowness(hot) * state_.mean_share(dropped);
  const float slow = state_.slowness(hot);
  const float first_order = value - state_.pull(slot);
  const float loss =
      loss_of_others(slot) / kRounding + steadied(dropped, state_.count(dropped) - 1);
  const float others = std::min(-loss, first_order);
  const float most = state_.part(hot) + others;
  const float* elsewhere = cooling_.elsewhere.data();
  const float* kept = cooling_.kept.data();
  float* __restrict gain = cooling_.gain.data();
  const std::size_t experts = state_.experts();
  for (std::size_t e = 0; e < experts; ++e) {
    const float more = above_zero(excess + slow * kept[e]);
    gain[e] = most - per_square * more * more + elsewhere[e];
  }
  // Where a rank that takes over some of what is dropped is relieved of something else, only first
  // orders can be added up.
  for (std::uint32_t s = state_.first_slot(dropped); s != WindowState::kNoSlot;
       s = state_.next_slot(s)) {
    const std::size_t first = state_.rank_of(s) * k_;
    for (std::size_t i = first; i < first + k_; ++i) {
      cooling_.gain[state_.expert(i)] += first_order - others;
    }
  }
}

void WindowSearch::try_replacement(std::size_t slot, std::uint32_t expert, float ceiling,
                                   Candidate& best) {
  const std::size_t rank = state_.rank_of(slot);
  const std::uint32_t dropped = state_.expert(slot);
  const float cost = price_of_more(rank, expert) - paid_[slot];
  if (!worth(ceiling, cost, best) || !affordable(cost) || state_.holds(rank, expert)) return;
  ++moves_tried_;
  const float* out = state_.share(dropped);
  const float* in = state_.share(expert);
  const float thinner = 1.0F / static_cast<float>(state_.count(expert) + 1);
  const float thicker = 1.0F / static_cast<float>(state_.count(dropped) - 1);
  const float kept = 1 - thinner;
  float gain = state_.part(rank) -
               state_.part_with(rank, [&](std::size_t t) { return in[t] * kept - out[t]; });
  // What the replica puts on a busy rank counts twice here: replica counts change only for more.
  if (!worth(gain + ceiling - state_.pull(slot), cost, best)) return;
  for (std::uint32_t s = state_.first_slot(expert); s != WindowState::kNoSlot;
       s = state_.next_slot(s)) {
    const std::size_t g = state_.rank_of(s);
    if (state_.holds(g, dropped)) {
      gain += state_.part(g) - state_.part_with(g, [&](std::size_t t) {
        return out[t] * thicker - in[t] * thinner;
      });
    } else if (state_.part(g) > 0) {
      gain += state_.part(g) - state_.part_with(g, [&](std::size_t t) { return -in[t] * thinner; });
    }
  }
  for (std::uint32_t s = state_.first_slot(dropped); s != WindowState::kNoSlot;
       s = state_.next_slot(s)) {
    const std::size_t g = state_.rank_of(s);
    if (g == rank || state_.holds(g, expert)) continue;
    gain += state_.part(g) - state_.part_with(g, [&](std::size_t t) { return out[t] * thicker; });
  }
  gain += steadied(expert, state_.count(expert)) - steadied(dropped, state_.count(dropped) - 1);
  consider(gain, cost, slot, WindowState::kNoSlot, expert, best);
}

}  // namespace moeshift
