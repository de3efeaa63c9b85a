// SPDX-License-Identifier: Apache-2.0
// The swaps that WindowSearch considers, and what each gains for its price.
#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "moeshift/plan/search/window_search.hpp"

namespace moeshift {

/// First-order values at the hot rank. Phi is convex, so that they bound every gain from above.
void WindowSearch::prepare(std::size_t hot) {
  find_spares();
  prepare_partners(hot);
  prepare_prices(hot);
}

/// The hot rank's replicas side by side, so that all are tried at once.
void WindowSearch::prepare_partners(std::size_t hot) {
  most_spread_ = 0;
  most_spread_first_order_ = 0;
  for (std::size_t i = 0; i < k_; ++i) {
    const std::size_t slot = hot * k_ + i;
    const std::uint32_t e = state_.expert(slot);
    const auto copies = static_cast<float>(state_.count(e));
    const float relief = state_.pull_of_all(e) / (copies + 1);
    const float steadier = steadied(e, state_.count(e));
    hot_.share[i] = state_.mean_share(e);
    hot_.pull[i] = state_.pull(slot);
    hot_.kept[i] = copies * (1 / (copies + 1));
    hot_.spread_first_order[i] = relief + steadier;
    hot_.spread[i] = state_.relief(e) * kRounding + steadier;
    most_spread_ = std::max(most_spread_, hot_.spread[i]);
    most_spread_first_order_ = std::max(most_spread_first_order_, hot_.spread_first_order[i]);
  }
  std::fill(hot_.met.begin(), hot_.met.end(), -std::numeric_limits<float>::infinity());
  for (std::size_t i = 0; i < k_; ++i) {
    for (std::uint32_t s = state_.first_slot(state_.expert(hot * k_ + i));
         s != WindowState::kNoSlot; s = state_.next_slot(s)) {
      float& met = hot_.met[state_.rank_of(s)];
      met = std::max(met, hot_.spread_first_order[i]);
    }
  }
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

void WindowSearch::try_rank(std::size_t hot, std::size_t rank, Candidate& best) {
  looked_from_rank_ = false;
  priced_at_rank_ = false;
  if (swaps_may_pay(hot, rank, best)) try_swaps(hot, rank, best);
  try_spreading(hot, rank, best);
}

/// What the hot rank's replicas do at another, to first order.
void WindowSearch::look_from(std::size_t hot, std::size_t rank) {
  if (std::exchange(looked_from_rank_, true)) return;
  if (state_.part(rank) <= 0) {
    std::fill_n(at_rank_.pull.begin(), k_, 0.0F);
    return;
  }
  for (std::size_t i = 0; i < k_; ++i) {
    at_rank_.pull[i] = state_.pull_at(rank, state_.expert(hot * k_ + i));
  }
}

/// What one more of the hot rank's replicas costs at another.
void WindowSearch::price_at(std::size_t hot, std::size_t rank) {
  if (std::exchange(priced_at_rank_, true)) return;
  for (std::size_t i = 0; i < k_; ++i) {
    at_rank_.price[i] = hot_.price[i][rank] * units_of_more_[state_.expert(hot * k_ + i)];
  }
}

/// Whether any swap between the two could be the best: not more than evens both out in every
/// window, for not less than the cheapest replicas cost. Sets the costs.
bool WindowSearch::swaps_may_pay(std::size_t hot, std::size_t rank, const Candidate& best) {
  if (state_.part(rank) >= state_.part(hot)) return false;
  const float most =
      (state_.part(hot) + state_.part(rank) - state_.parts_evened_out(hot, rank)) * kRounding;
  if (most <= best.score * kLeastCost) return false;
  most_by_swap_ = most;
  const float least_there = hot_.least_there[rank];
  if (!worth(most, least_there - most_paid_[rank], best)) return false;
  float least_here = std::numeric_limits<float>::infinity();
  for (std::size_t i = 0; i < k_; ++i) {
    cost_here_[i] = price_of(hot, state_.expert(rank * k_ + i)) - paid_[rank * k_ + i];
    least_here = std::min(least_here, cost_here_[i]);
  }
  if (!worth(most, least_there + least_here, best)) return false;
  for (std::size_t i = 0; i < k_; ++i) {
    const std::size_t slot = hot * k_ + i;
    at_rank_.cost[i] = hot_.price[i][rank] * units_[state_.expert(slot)] - paid_[slot];
  }
  return true;
}

void WindowSearch::try_swaps(std::size_t hot, std::size_t rank, Candidate& best) {
  if (!single_) look_from(hot, rank);
  const WindowState::SingleRank at_hot = state_.single(hot);
  const WindowState::SingleRank at_rank = state_.single(rank);
  for (std::size_t i = 0; i < k_; ++i) {
    const std::size_t other = rank * k_ + i;
    if (!worth(most_by_swap_, hot_.least_there[rank] + cost_here_[i], best)) continue;
    if (state_.holds(hot, state_.expert(other))) continue;
    if (single_) {
      try_partners(at_hot, at_rank, hot, other, best);
    } else {
      try_bounded(hot, other, cost_here_[i], best);
    }
  }
}

/// Bounds for all partners of a slot at once, in a form that compilers turn into vector
/// instructions, and a closer look where they leave something to be had.
void WindowSearch::try_bounded(std::size_t hot, std::size_t other, float cost_here,
                               Candidate& best) {
  const std::size_t rank = state_.rank_of(other);
  const std::uint32_t coming = state_.expert(other);
  if (!bound_swaps(hot, rank, state_.mean_share(coming), state_.pull(other), cost_here, best))
    return;
  const float refilled = state_.pull_at(hot, coming);
  for (std::size_t i = 0; i < k_; ++i) {
    at_hot_[i] = std::min(at_hot_[i], hot_.pull[i] - refilled);
    const float cost = at_rank_.cost[i] + cost_here;
    if (worth(at_hot_[i] + gain_[i], cost, best)) {
      try_swap(hot * k_ + i, other, cost, at_hot_[i], best);
    }
  }
}

/// Bounds by means over windows at both ranks, and to first order at the other; into `at_hot_` and
/// `gain_`.
/// @return whether any of them could be the best.
bool WindowSearch::bound_swaps(std::size_t hot, std::size_t rank, float in, float spared,
                               float cost_here, const Candidate& best) {
  const float per_square = state_.part_per_square();
  const float part_hot = state_.part(hot);
  const float part_rank = state_.part(rank);
  const float excess_hot = state_.mean_excess(hot);
  const float excess_rank = state_.mean_excess(rank);
  const float slow_hot = state_.slowness(hot);
  const float slow_rank = state_.slowness(rank);
  const float score = best.score;
  const float* out = hot_.share.data();
  const float* pull_there = at_rank_.pull.data();
  const float* cost_there = at_rank_.cost.data();
  float* __restrict at_hot = at_hot_.data();
  float* __restrict at_rank = gain_.data();
  unsigned any = 0;
  for (std::size_t i = 0; i < padded_; ++i) {
    const float by = out[i] - in;
    const float left = above_zero(excess_hot - slow_hot * by);
    const float more = above_zero(excess_rank + slow_rank * by);
    const float first_order = spared - pull_there[i];
    const float by_mean = part_rank - per_square * more * more;
    const float cost = cost_there[i] + cost_here;
    at_hot[i] = part_hot - per_square * left * left;
    at_rank[i] = first_order < by_mean ? first_order : by_mean;
    const float enough = score * (cost > kLeastCost ? cost : kLeastCost);
    any |= at_hot[i] + at_rank[i] > enough ? 1U : 0U;
  }
  return any != 0;
}

/// With one window every gain is a few operations: those of all partners of a slot at once, in a
/// form that compilers turn into vector instructions, and a closer look only where one is better.
void WindowSearch::try_partners(const WindowState::SingleRank& at_hot,
                                const WindowState::SingleRank& at_rank, std::size_t hot,
                                std::size_t other, Candidate& best) {
  const std::size_t rank = state_.rank_of(other);
  const float cost_here = cost_here_[other - rank * k_];
  const float in = state_.share(state_.expert(other))[0];
  const float score = best.score;
  const float* out = hot_.share.data();
  const float* cost_there = at_rank_.cost.data();
  float* __restrict gain = gain_.data();
  unsigned any = 0;
  for (std::size_t i = 0; i < padded_; ++i) {
    const float by = in - out[i];
    gain[i] = at_hot.part - at_hot.part_with(by) + (at_rank.part - at_rank.part_with(-by));
    const float cost = cost_there[i] + cost_here;
    any |= gain[i] > score * (cost > kLeastCost ? cost : kLeastCost) ? 1U : 0U;
  }
  moves_tried_ += k_;
  if (any == 0) return;
  for (std::size_t i = 0; i < k_; ++i) {
    const float cost = at_rank_.cost[i] + cost_here;
    if (!worth(gain_[i], cost, best) || state_.holds(rank, state_.expert(hot * k_ + i))) continue;
    consider(gain_[i], cost, hot * k_ + i, static_cast<std::uint32_t>(other), 0, best);
  }
}

/// @param most what the hot rank gains at most
void WindowSearch::try_swap(std::size_t slot, std::size_t other, float cost, float most,
                            Candidate& best) {
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
  if (!worth(most + at_rank, cost, best)) return;
  const float at_hot =
      state_.part(hot) - state_.part_with(hot, [&](std::size_t t) { return in[t] - out[t]; });
  consider(at_hot + at_rank, cost, slot, static_cast<std::uint32_t>(other), 0, best);
}

}  // namespace moeshift
