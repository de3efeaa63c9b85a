// SPDX-License-Identifier: Apache-2.0
// Which ranks WindowSearch need not look at: bounds for all of them at once, in loops that
// compilers turn into vector instructions.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>

#include "moeshift/plan/search/window_search.hpp"

namespace moeshift {

/// An expert's price on every rank, side by side: prices by rank are a cache line apart and more.
const float* WindowSearch::prices_of(std::uint32_t expert) {
  float* prices = by_expert_.data() + expert * state_.ranks();
  if (std::exchange(known_by_expert_[expert], std::uint8_t{1}) != 0) return prices;
  for (std::size_t rank = 0; rank < state_.ranks(); ++rank) prices[rank] = prices_at(rank)[expert];
  return prices;
}

/// The least that any of the hot rank's replicas costs on every other rank.
void WindowSearch::prepare_prices(std::size_t hot) {
  const std::size_t ranks = state_.ranks();
  float* __restrict least_there = hot_.least_there.data();
  float* __restrict least_price = hot_.least_price.data();
  std::fill_n(least_there, ranks, std::numeric_limits<float>::infinity());
  std::fill_n(least_price, ranks, std::numeric_limits<float>::infinity());
  for (std::size_t i = 0; i < k_; ++i) {
    const std::size_t slot = hot * k_ + i;
    const std::uint32_t e = state_.expert(slot);
    const float* price = hot_.price[i] = prices_of(e);
    const float units = units_[e];
    const float units_of_more = units_of_more_[e];
    const float paid = paid_[slot];
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      const float there = price[rank] * units - paid;
      const float more = price[rank] * units_of_more;
      least_there[rank] = there < least_there[rank] ? there : least_there[rank];
      least_price[rank] = more < least_price[rank] ? more : least_price[rank];
    }
  }
}

/// Swaps gain at most what evens out the means over windows (Jensen), replacements at most what the
/// best spare replica and the best of one more add up to, each for the least that it may cost.
void WindowSearch::screen(std::size_t hot, const Candidate& best) {
  const std::size_t ranks = state_.ranks();
  const float* parts = state_.parts().data();
  const float* excess = state_.mean_excesses().data();
  const float* slow = state_.slownesses().data();
  const float* paid = most_paid_.data();
  const float* value = most_value_.data();
  const float* least_there = hot_.least_there.data();
  const float* least_price = hot_.least_price.data();
  const float part_hot = parts[hot];
  const float excess_hot = excess[hot];
  const float slow_hot = slow[hot];
  const float per_square = state_.part_per_square();
  const float score = best.score;
  const float spread = most_spread_first_order_;
  std::uint32_t* __restrict may_pay = may_pay_.data();
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    const float above = above_zero(slow[rank] * excess_hot + slow_hot * excess[rank]);
    const float evened =
        per_square * above * above / (slow_hot * slow_hot + slow[rank] * slow[rank]);
    const float by_swap = (part_hot + parts[rank] - evened) * kRounding;
    const float for_swap = least_there[rank] - paid[rank];
    const float for_replica = least_price[rank] - paid[rank];
    const bool swap = by_swap > score * (for_swap > kLeastCost ? for_swap : kLeastCost);
    const bool replica =
        value[rank] + spread > score * (for_replica > kLeastCost ? for_replica : kLeastCost);
    may_pay[rank] = static_cast<std::uint32_t>(swap) | static_cast<std::uint32_t>(replica);
  }
}

}  // namespace moeshift
