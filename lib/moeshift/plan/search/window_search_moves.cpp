// SPDX-License-Identifier: Apache-2.0
// The moves that WindowSearch considers, and what each gains for its price.
#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "moeshift/plan/search/window_search.hpp"

namespace moeshift {
namespace {

/// A free move counts as half a unit, so that free moves come first without beating all others.
constexpr float kLeastCost = 0.5F;
/// Gains below are rounding.
constexpr float kLeastGain = 1e-10F;

}  // namespace

float WindowSearch::price_of(std::size_t rank, std::uint32_t expert, std::uint32_t count) const {
  if (prices_.empty()) return 0;
  const float price = prices_[rank * state_.experts() + expert];
  if (!options_.cost_by_load) return price;
  return price * static_cast<float>(mean_load_[expert] / count);
}

float WindowSearch::price_of(std::size_t rank, std::uint32_t expert) const {
  return price_of(rank, expert, state_.count(expert));
}

/// First-order values at the hot rank. Phi is convex, so that they bound every gain from above.
void WindowSearch::prepare(std::size_t hot) {
  for (std::uint32_t e = 0; e < state_.experts(); ++e) {
    const std::uint32_t count = state_.count(e);
    pull_[e] = state_.pull_at(hot, e);
    relief_[e] = state_.pull_of_all(e) / static_cast<float>(count + 1);
    if (count > 1) weigh_dropping(e, count);
  }
  most_pull_ = 0;
  most_spread_ = 0;
  for (std::size_t i = 0; i < k_; ++i) {
    const std::uint32_t e = state_.expert(hot * k_ + i);
    price_at_hot_[i] = price_of(hot, e);
    hot_share_[i] = state_.share(e)[0];
    hot_pull_[i] = state_.pull(hot * k_ + i);
    most_pull_ = std::max(most_pull_, state_.pull(hot * k_ + i));
    most_spread_ = std::max(most_spread_, relief_[e] + steadied(e, state_.count(e)));
  }
}

bool WindowSearch::worth(float ceiling, float cost, const Candidate& best) {
  return ceiling > best.score * std::max(cost, kLeastCost);
}

bool WindowSearch::affordable(float cost) const {
  return cost_ + static_cast<double>(cost) <= options_.budget + 1e-9;
}

void WindowSearch::consider(float gain, float cost, std::size_t slot, std::uint32_t other,
                            std::uint32_t expert, Candidate& best) {
  if (gain <= kLeastGain) return;
  const float score = gain / std::max(cost, kLeastCost);
  if (score <= best.score) return;
  best = {.score = score, .cost = cost, .slot = slot, .other = other, .expert = expert};
}

bool WindowSearch::may_leave(std::size_t slot, std::optional<std::size_t> to) const {
  const HolderRule& rule = options_.holders;
  const std::uint32_t expert = state_.expert(slot);
  if (rule.node_of.empty()) return to || state_.count(expert) > rule.least;
  std::size_t nodes = 0;
  std::optional<std::uint32_t> last;
  for (std::size_t rank = 0; rank < state_.ranks(); ++rank) {
    const bool stays = state_.holds(rank, expert) && rank != state_.rank_of(slot);
    if ((!stays && rank != to) || rule.node_of[rank] == last) continue;
    last = rule.node_of[rank];
    ++nodes;
  }
  return nodes >= rule.least;
}

void WindowSearch::look_from(std::size_t hot, std::size_t rank) {
  const bool busy = state_.part(rank) > 0;
  least_cost_at_rank_ = std::numeric_limits<float>::infinity();
  for (std::size_t i = 0; i < k_; ++i) {
    const std::uint32_t e = state_.expert(hot * k_ + i);
    at_rank_[i] = busy ? state_.pull_at(rank, e) : 0;
    cost_at_rank_[i] = price_of(rank, e) - price_at_hot_[i];
    least_cost_at_rank_ = std::min(least_cost_at_rank_, cost_at_rank_[i]);
  }
}

void WindowSearch::try_swaps(std::size_t hot, std::size_t rank, Candidate& best) {
  const float most = state_.part(hot);
  for (std::size_t other = rank * k_; other < (rank + 1) * k_; ++other) {
    const std::uint32_t coming = state_.expert(other);
    if (state_.holds(hot, coming)) continue;
    const float refilled = pull_[coming];
    const float spared = state_.pull(other);
    const float cost_here = price_of(hot, coming) - price_of(rank, coming);
    // No partner can be worth it: most ranks of other nodes end here, their moves cost too much.
    if (!worth(std::min(most_pull_ - refilled, most) + spared, least_cost_at_rank_ + cost_here,
               best)) {
      continue;
    }
    if (single_) {
      try_partners(hot, other, cost_here, best);
      continue;
    }
    // Bounds for all partners at once, in a form that compilers turn into vector instructions.
    float above = 0;
    for (std::size_t i = 0; i < k_; ++i) {
      const float first_order = hot_pull_[i] - refilled;
      gain_[i] = (first_order < most ? first_order : most) + spared - at_rank_[i];
      const float cost = cost_at_rank_[i] + cost_here;
      const float over = gain_[i] - best.score * (cost > kLeastCost ? cost : kLeastCost);
      above = over > above ? over : above;
    }
    if (above <= 0) continue;
    for (std::size_t i = 0; i < k_; ++i) {
      const float cost = cost_at_rank_[i] + cost_here;
      if (worth(gain_[i], cost, best)) try_swap(hot * k_ + i, other, cost, best);
    }
  }
}

/// With one window every gain is a few operations: those of all partners of a slot at once, in a
/// form that compilers turn into vector instructions, and a closer look only where one is better.
void WindowSearch::try_partners(std::size_t hot, std::size_t other, float cost_here,
                                Candidate& best) {
  const std::size_t rank = state_.rank_of(other);
  const float in = state_.share(state_.expert(other))[0];
  const float parts_hot = state_.part(hot);
  const float parts_rank = state_.part(rank);
  float most = 0;
  for (std::size_t i = 0; i < k_; ++i) {
    const float by = in - hot_share_[i];
    const float at_rank = parts_rank - state_.single_part_with(rank, -by);
    gain_[i] = parts_hot - state_.single_part_with(hot, by) + at_rank;
    const float cost = cost_at_rank_[i] + cost_here;
    const float over = gain_[i] - best.score * (cost > kLeastCost ? cost : kLeastCost);
    most = over > most ? over : most;
  }
  moves_tried_ += k_;
  if (most <= 0) return;
  for (std::size_t i = 0; i < k_; ++i) {
    if (state_.holds(rank, state_.expert(hot * k_ + i))) continue;
    consider(gain_[i], cost_at_rank_[i] + cost_here, hot * k_ + i,
             static_cast<std::uint32_t>(other), 0, best);
  }
}

void WindowSearch::try_swap(std::size_t slot, std::size_t other, float cost, Candidate& best) {
  const std::size_t hot = state_.rank_of(slot);
  const std::size_t rank = state_.rank_of(other);
  const std::uint32_t leaving = state_.expert(slot);
  if (state_.holds(rank, leaving) || !affordable(cost)) return;
  if (!may_leave(slot, rank) || !may_leave(other, hot)) return;
  ++moves_tried_;
  const float* out = state_.share(leaving);
  const float* in = state_.share(state_.expert(other));
  const float at_rank =
      state_.part(rank) - state_.part_with(rank, [&](std::size_t t) { return out[t] - in[t]; });
  if (!worth(state_.part(hot) + at_rank, cost, best)) return;
  const float at_hot =
      state_.part(hot) - state_.part_with(hot, [&](std::size_t t) { return in[t] - out[t]; });
  consider(at_hot + at_rank, cost, slot, static_cast<std::uint32_t>(other), 0, best);
}

/// What Phi loses at most when a replica goes, without its slot's own part: its rank is spared it,
/// the other holders share what it carried. @pre the expert has another replica.
void WindowSearch::weigh_dropping(std::uint32_t expert, std::uint32_t count) {
  const auto copies = static_cast<float>(count);
  kept_pull_[expert] = copies / (copies - 1);
  shared_out_[expert] = relief_[expert] * (copies + 1) / (copies - 1) + steadied(expert, count - 1);
}

float WindowSearch::value_of_dropping(std::size_t slot) const {
  const std::uint32_t dropped = state_.expert(slot);
  return state_.pull(slot) * kept_pull_[dropped] - shared_out_[dropped];
}

/// Another replica of one of the hot rank's experts, in the place of a spare one elsewhere.
void WindowSearch::try_spreading(std::size_t hot, std::size_t rank, Candidate& best) {
  for (std::size_t slot = rank * k_; slot < (rank + 1) * k_; ++slot) {
    if (state_.count(state_.expert(slot)) < 2 || !may_leave(slot)) continue;
    const float value = value_of_dropping(slot);
    if (value + most_spread_ <= best.score * kLeastCost) continue;
    for (std::size_t i = 0; i < k_; ++i) {
      const std::uint32_t e = state_.expert(hot * k_ + i);
      const auto copies = static_cast<float>(state_.count(e));
      const float ceiling =
          value + relief_[e] + steadied(e, state_.count(e)) - at_rank_[i] * copies / (copies + 1);
      if (ceiling > best.score * kLeastCost) try_replacement(slot, e, ceiling, best);
    }
  }
}

/// A colder expert in the place of a spare replica on the hot rank.
void WindowSearch::try_cooling(std::size_t hot, Candidate& best) {
  float most = -std::numeric_limits<float>::infinity();
  bool prepared = false;
  for (std::size_t slot = hot * k_; slot < (hot + 1) * k_; ++slot) {
    if (state_.count(state_.expert(slot)) < 2 || !may_leave(slot)) continue;
    if (!std::exchange(prepared, true)) most = prepare_cooling();
    const float value = value_of_dropping(slot);
    if (value + most <= best.score * kLeastCost) continue;
    for (std::uint32_t e = 0; e < state_.experts(); ++e) {
      const float ceiling = value + cooling_[e];
      if (ceiling > best.score * kLeastCost) try_replacement(slot, e, ceiling, best);
    }
  }
}

/// What a replica more of each expert is worth at most on the hot rank; returns the most.
float WindowSearch::prepare_cooling() {
  float most = -std::numeric_limits<float>::infinity();
  for (std::uint32_t e = 0; e < state_.experts(); ++e) {
    const auto copies = static_cast<float>(state_.count(e));
    cooling_[e] = relief_[e] + steadied(e, state_.count(e)) - pull_[e] * copies / (copies + 1);
    most = std::max(most, cooling_[e]);
  }
  return most;
}

void WindowSearch::try_replacement(std::size_t slot, std::uint32_t expert, float ceiling,
                                   Candidate& best) {
  const std::size_t rank = state_.rank_of(slot);
  const std::uint32_t dropped = state_.expert(slot);
  const float cost = price_of(rank, expert, state_.count(expert) + 1) - price_of(rank, dropped);
  if (!worth(ceiling, cost, best) || !affordable(cost) || state_.holds(rank, expert)) return;
  ++moves_tried_;
  const float* out = state_.share(dropped);
  const float* in = state_.share(expert);
  const float thinner = 1.0F / static_cast<float>(state_.count(expert) + 1);
  const float thicker = 1.0F / static_cast<float>(state_.count(dropped) - 1);
  const float kept = 1 - thinner;
  float gain = state_.part(rank) -
               state_.part_with(rank, [&](std::size_t t) { return in[t] * kept - out[t]; });
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
