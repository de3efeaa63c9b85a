// SPDX-License-Identifier: Apache-2.0
// The replacements that WindowSearch considers: a replica of one expert in the place of another's.
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>

#include "moeshift/plan/search/window_search.hpp"

namespace moeshift {
namespace {

/// Experts are looked at one by one only where one of so many may pay.
constexpr std::size_t kExpertsPerLook = 16;
/// Less than any gain: of experts that the hot rank has.
constexpr float kNoMore = 1e30F;

}  // namespace

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

/// What a replica is worth follows from its pulls as long as counts stay.
float WindowSearch::known_value_of_dropping(std::size_t slot) {
  KnownValue& known = known_[slot];
  const float pull = state_.pull(slot);
  const float pull_of_all = state_.pull_of_all(state_.expert(slot));
  if (known.pull != pull || known.pull_of_all != pull_of_all) {
    known = {pull, pull_of_all, value_of_dropping(slot)};
  }
  return known.value;
}

/// Marks the slots of an expert as spare or not, and forgets what they were worth.
void WindowSearch::mark_spares(std::uint32_t expert) {
  const bool spare = state_.count(expert) > 1;
  for (std::uint32_t slot = state_.first_slot(expert); slot != WindowState::kNoSlot;
       slot = state_.next_slot(slot)) {
    const std::uint64_t bit = std::uint64_t{1} << slot % 64;
    std::uint64_t& bits = spare_bits_[slot / 64];
    const std::uint64_t before = std::exchange(bits, spare ? bits | bit : bits & ~bit);
    spares_moved_ |= bits != before;
    known_[slot].pull = std::numeric_limits<float>::quiet_NaN();
  }
}

/// Values follow from the doubt, too.
void WindowSearch::forget_spares() {
  for (KnownValue& known : known_) known.pull = std::numeric_limits<float>::quiet_NaN();
}

void WindowSearch::find_spares() {
  if (std::exchange(spares_moved_, false)) list_spares();
  std::fill(most_value_.begin(), most_value_.end(), -std::numeric_limits<float>::infinity());
  for (Spare& spare : spares_) {
    spare.value = known_value_of_dropping(spare.slot);
    float& most = most_value_[state_.rank_of(spare.slot)];
    most = std::max(most, spare.value);
  }
}

void WindowSearch::list_spares() {
  spares_.clear();
  std::size_t rank = 0;
  const auto begin_ranks_up_to = [&](std::size_t slot) {
    for (; rank < state_.ranks() && rank * k_ <= slot; ++rank) {
      spares_before_[rank] = static_cast<std::uint32_t>(spares_.size());
    }
  };
  for (std::size_t word = 0; word < spare_bits_.size(); ++word) {
    for (std::uint64_t bits = spare_bits_[word]; bits != 0; bits &= bits - 1) {
      const std::size_t slot = word * 64 + static_cast<std::size_t>(std::countr_zero(bits));
      begin_ranks_up_to(slot);
      spares_.push_back({static_cast<std::uint32_t>(slot), 0});
    }
  }
  begin_ranks_up_to(state_.slots());
  spares_before_.back() = static_cast<std::uint32_t>(spares_.size());
}

/// Another replica of one of the hot rank's experts, in the place of a spare one elsewhere.
void WindowSearch::try_spreading(std::size_t hot, std::size_t rank, Candidate& best) {
  for (const auto& [slot, value] : spares_on(rank)) {
    const float most = value + most_spread_first_order_;
    if (most <= best.score * kLeastCost || !may_leave(slot)) continue;
    const float least_cost = hot_.least_price[rank] - paid_[slot];
    if (!worth(most, least_cost, best)) continue;
    const float first_order = value - state_.pull(slot);
    const float others = others_without(slot, first_order);
    const float beyond = std::max(others + most_spread_, first_order + most_met(slot));
    if (!worth(state_.pull(slot) + beyond, least_cost, best)) continue;
    look_beyond(hot, slot, first_order, others);
    look_from(hot, rank);
    price_at(hot, rank);
    if (!bound_spreading(slot, best)) continue;
    for (std::size_t i = 0; i < k_; ++i) {
      if (!worth(gain_[i], at_rank_.price[i] - paid_[slot], best)) continue;
      const float ceiling = value + hot_.spread_first_order[i] - at_rank_.pull[i] * hot_.kept[i];
      if (ceiling > best.score * kLeastCost) {
        try_replacement(slot, state_.expert(hot * k_ + i), ceiling, best);
      }
    }
  }
}

/// What the other holders of a slot's expert gain at most when it goes: less than nothing.
float WindowSearch::others_without(std::size_t slot, float first_order) const {
  const std::uint32_t dropped = state_.expert(slot);
  const float loss =
      loss_of_others(slot) / kRounding + steadied(dropped, state_.count(dropped) - 1);
  return std::min(-loss, first_order);
}

/// The most that one replica more of what the slot's other holders have in common with the hot rank
/// is worth, to first order.
float WindowSearch::most_met(std::size_t slot) const {
  float most = -std::numeric_limits<float>::infinity();
  for (std::uint32_t s = state_.first_slot(state_.expert(slot)); s != WindowState::kNoSlot;
       s = state_.next_slot(s)) {
    if (s != slot) most = std::max(most, hot_.met[state_.rank_of(s)]);
  }
  return most;
}

/// What one replica more of each of the hot rank's experts and the slot's replica less are worth at
/// most on all other ranks. Where one of these holds both only first orders can be added up.
void WindowSearch::look_beyond(std::size_t hot, std::size_t slot, float first_order, float others) {
  for (std::size_t i = 0; i < k_; ++i) hot_.beyond[i] = hot_.spread[i] + others;
  for (std::uint32_t s = state_.first_slot(state_.expert(slot)); s != WindowState::kNoSlot;
       s = state_.next_slot(s)) {
    if (s == slot) continue;
    for (std::size_t i = 0; i < k_; ++i) {
      if (!state_.holds(state_.rank_of(s), state_.expert(hot * k_ + i))) continue;
      hot_.beyond[i] = std::max(hot_.beyond[i], hot_.spread_first_order[i] + first_order);
    }
  }
}

/// Bounds for all of the hot rank's experts in a slot, by means over windows and to first order at
/// its rank; into `gain_`.
/// @return whether any of them could be the best.
bool WindowSearch::bound_spreading(std::size_t slot, const Candidate& best) {
  const std::size_t rank = state_.rank_of(slot);
  const float per_square = state_.part_per_square();
  const float part = state_.part(rank);
  const float excess = state_.mean_excess(rank);
  const float slow = state_.slowness(rank);
  const float out = state_.mean_share(state_.expert(slot));
  const float spared = state_.pull(slot);
  const float paid = paid_[slot];
  const float score = best.score;
  const float* beyond = hot_.beyond.data();
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
    gain[i] = (first_order < by_mean ? first_order : by_mean) + beyond[i];
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
    if (!bound_cooling(hot, slot, value, best)) continue;
    const std::size_t experts = state_.experts();
    for (std::size_t first = 0; first < experts; first += kExpertsPerLook) {
      const std::size_t last = std::min(first + kExpertsPerLook, experts);
      if (any_pays(first, last, paid_[slot], best))
        try_coolest(hot, slot, value, first, last, best);
    }
  }
}

/// Whether the bounds of any expert from `first` to `last` leave something to be had.
bool WindowSearch::any_pays(std::size_t first, std::size_t last, float paid,
                            const Candidate& best) const {
  const float score = best.score;
  const float* gain = cooling_.gain.data();
  const float* price = cooling_.price.data();
  unsigned any = 0;
  for (std::size_t e = first; e < last; ++e) {
    const float cost = price[e] - paid;
    any |= gain[e] > score * (cost > kLeastCost ? cost : kLeastCost) ? 1U : 0U;
  }
  return any != 0;
}

void WindowSearch::try_coolest(std::size_t hot, std::size_t slot, float value, std::size_t first,
                               std::size_t last, Candidate& best) {
  for (std::size_t e = first; e < last; ++e) {
    if (!worth(cooling_.gain[e], cooling_.price[e] - paid_[slot], best)) continue;
    const auto expert = static_cast<std::uint32_t>(e);
    const auto copies = static_cast<float>(state_.count(expert));
    const float ceiling = value + (elsewhere_first_order(expert) -
                                   state_.pull_at(hot, expert) * copies / (copies + 1));
    if (ceiling > best.score * kLeastCost) try_replacement(slot, expert, ceiling, best);
  }
}

/// What another replica of each expert on the hot rank is worth elsewhere, and its price.
void WindowSearch::prepare_cooling(std::size_t hot) {
  const float* relief = state_.reliefs().data();
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
    elsewhere[e] = relief[e] * kRounding + variance[e] * steadier[e];
  }
  for (std::size_t e = 0; e < experts; ++e) kept[e] = (1 - thinner[e]) * share[e];
  for (std::size_t e = 0; e < experts; ++e) cost[e] = price[e] * units[e];
  for (std::size_t slot = hot * k_; slot < (hot + 1) * k_; ++slot) {
    cooling_.elsewhere[state_.expert(slot)] = -kNoMore;
  }
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
/// @return whether any of them could be the best.
bool WindowSearch::bound_cooling(std::size_t hot, std::size_t slot, float value,
                                 const Candidate& best) {
  const std::uint32_t dropped = state_.expert(slot);
  const float per_square = state_.part_per_square();
  const float excess = state_.mean_excess(hot) - state_.slowness(hot) * state_.mean_share(dropped);
  const float slow = state_.slowness(hot);
  const float first_order = value - state_.pull(slot);
  const float others = others_without(slot, first_order);
  const float most = state_.part(hot) + others;
  const float* elsewhere = cooling_.elsewhere.data();
  const float* kept = cooling_.kept.data();
  float* __restrict gain = cooling_.gain.data();
  const std::size_t experts = state_.experts();
  if (!any_cools(slot, most, first_order, best)) return false;
  for (std::size_t e = 0; e < experts; ++e) {
    const float more = above_zero(excess + slow * kept[e]);
    gain[e] = most - per_square * more * more + elsewhere[e];
  }
  // Where a rank that takes over some of what is dropped is relieved of something else, only first
  // orders can be added up.
  for (std::uint32_t s = state_.first_slot(dropped); s != WindowState::kNoSlot;
       s = state_.next_slot(s)) {
    const std::size_t first = state_.rank_of(s) * k_;
    for (std::size_t i = first; i < first + k_ && s != slot; ++i) {
      const std::uint32_t e = state_.expert(i);
      if (state_.holds(hot, e)) continue;
      cooling_.gain[e] +=
          first_order - others + above_zero(elsewhere_first_order(e) - cooling_.elsewhere[e]);
    }
  }
  return true;
}

/// Whether any expert could pay in a slot of the hot rank, if it had no load: most slots are done
/// with here.
bool WindowSearch::any_cools(std::size_t slot, float most, float first_order,
                             const Candidate& best) const {
  const std::uint32_t dropped = state_.expert(slot);
  const float enough = best.score * kLeastCost;
  const float* elsewhere = cooling_.elsewhere.data();
  unsigned any = 0;
  const std::size_t experts = state_.experts();
  for (std::size_t e = 0; e < experts; ++e) any |= most + elsewhere[e] > enough ? 1U : 0U;
  const float to_first_order = state_.part(state_.rank_of(slot)) + first_order;
  for (std::uint32_t s = state_.first_slot(dropped); s != WindowState::kNoSlot;
       s = state_.next_slot(s)) {
    const std::size_t first = state_.rank_of(s) * k_;
    for (std::size_t i = first; i < first + k_ && s != slot; ++i) {
      const float relief = elsewhere_first_order(state_.expert(i)) * kRounding;
      any |= to_first_order + relief > enough ? 1U : 0U;
    }
  }
  return any != 0;
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
