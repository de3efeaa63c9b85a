// SPDX-License-Identifier: Apache-2.0
// Who is best, who may be as good, and what cannot be had for less: one ranking for all that
// judges.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "moeshift/judge/paired_difference.hpp"

namespace moeshift {

/// One alternative: what is wanted and what it costs.
struct Tradeoff {
  double value = 0;  ///< more is better
  double cost = 0;   ///< less is better
};

/// Which alternatives no other one beats in one respect without losing in the other. Of equal ones
/// all are kept. O(n^2).
[[nodiscard]] std::vector<bool> pareto_optimal(std::span<const Tradeoff> tradeoffs);

/// How alternatives stand to the best of them.
struct Ranking {
  std::size_t best = 0;                  ///< the highest value; of equal ones the first
  std::optional<std::size_t> runner_up;  ///< nobody when the best is alone
  std::vector<PairedDifference> behind;  ///< [alternatives] how much worse than the best
  std::vector<std::size_t> tied;         ///< those that chance may have put behind it, by value
  std::vector<bool> pareto;              ///< [alternatives] value against cost
};

/// How much better alternative `a` is than `b`, measured on the same steps; > 0 is better.
using BetterBy = std::function<PairedDifference(std::size_t a, std::size_t b)>;

/// Ranks by value and asks of everyone whether the best is certainly better. O(n^2), and n
/// differences.
/// @param alternatives at least one.
[[nodiscard]] Ranking ranking_of(std::span<const Tradeoff> alternatives, const BetterBy& better_by);

/// Of the best and those that may be as good: the one that nobody is cheaper than; of equally cheap
/// ones the first.
/// @param as_good who is considered beside the best. @param cheaper a strict order.
[[nodiscard]] std::size_t cheapest_of_equals(
    const Ranking& ranking, const std::function<bool(std::size_t)>& as_good,
    const std::function<bool(std::size_t, std::size_t)>& cheaper);

}  // namespace moeshift
