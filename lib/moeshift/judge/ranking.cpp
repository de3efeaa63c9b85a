// SPDX-License-Identifier: Apache-2.0
#include "moeshift/judge/ranking.hpp"

#include <algorithm>
#include <numeric>

#include "moeshift/core/error.hpp"

namespace moeshift {

std::vector<bool> pareto_optimal(std::span<const Tradeoff> tradeoffs) {
  std::vector<bool> optimal;
  for (const Tradeoff& one : tradeoffs) {
    optimal.push_back(std::none_of(tradeoffs.begin(), tradeoffs.end(), [&](const Tradeoff& other) {
      return other.value >= one.value && other.cost <= one.cost &&
             (other.value > one.value || other.cost < one.cost);
    }));
  }
  return optimal;
}

Ranking ranking_of(std::span<const Tradeoff> alternatives, const BetterBy& better_by) {
  MOESHIFT_CHECK(!alternatives.empty());
  std::vector<std::size_t> order(alternatives.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return alternatives[a].value > alternatives[b].value;
  });
  Ranking ranking;
  ranking.best = order.front();
  if (order.size() > 1) ranking.runner_up = order[1];
  ranking.pareto = pareto_optimal(alternatives);
  for (std::size_t i = 0; i < alternatives.size(); ++i) {
    ranking.behind.push_back(better_by(ranking.best, i));
  }
  for (const std::size_t i : order) {
    if (i != ranking.best && !ranking.behind[i].certain()) ranking.tied.push_back(i);
  }
  return ranking;
}

std::size_t cheapest_of_equals(const Ranking& ranking,
                               const std::function<bool(std::size_t)>& as_good,
                               const std::function<bool(std::size_t, std::size_t)>& cheaper) {
  std::vector<std::size_t> equals = {ranking.best};
  std::copy_if(ranking.tied.begin(), ranking.tied.end(), std::back_inserter(equals), as_good);
  std::sort(equals.begin(), equals.end());
  return *std::min_element(equals.begin(), equals.end(), cheaper);
}

}  // namespace moeshift
