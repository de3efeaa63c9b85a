// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/search/rank_speed.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "moeshift/plan/lower_bound.hpp"
#include "moeshift/plan/search/coverage.hpp"
#include "moeshift/plan/search/window_loads.hpp"
#include "moeshift/plan/search/window_search.hpp"

namespace moeshift {
namespace {

/// Ranks by a figure, the largest first, lower ranks on ties.
std::vector<std::size_t> largest_first(std::span<const double> figure) {
  std::vector<std::size_t> order(figure.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return figure[a] > figure[b]; });
  return order;
}

/// The heaviest contents to the fastest rank, and so on.
std::vector<std::uint32_t> heaviest_to_fastest(const LayerProblem& problem,
                                               std::span<const double> load,
                                               std::span<const std::uint32_t> experts) {
  const std::size_t k = problem.slots_per_rank;
  std::vector<std::uint32_t> counts(load.size(), 0);
  for (const std::uint32_t e : experts) ++counts[e];
  std::vector<double> contents(problem.ranks(), 0);
  for (std::size_t slot = 0; slot < experts.size(); ++slot) {
    contents[slot / k] += load[experts[slot]] / counts[experts[slot]];
  }
  const std::vector<std::size_t> heavy = largest_first(contents);
  const std::vector<std::size_t> fast = largest_first(problem.speed);
  std::vector<std::uint32_t> placed(experts.size());
  for (std::size_t i = 0; i < heavy.size(); ++i) {
    std::copy_n(experts.begin() + static_cast<std::ptrdiff_t>(heavy[i] * k), k,
                placed.begin() + static_cast<std::ptrdiff_t>(fast[i] * k));
  }
  return placed;
}

}  // namespace

std::uint64_t balance_times(const LayerProblem& problem, std::span<const double> load,
                            double tolerance, std::vector<std::uint32_t>& experts) {
  if (problem.speed.empty()) return 0;
  const bool bound_to_nodes = problem.survive.losses > 0 && problem.survive.by_node;
  if (!bound_to_nodes) experts = heaviest_to_fastest(problem, load, experts);
  LayerProblem scaled = problem;
  scaled.load = load;
  const WindowLoads loads = windows_of(scaled, false);
  const double mean =
      std::accumulate(load.begin(), load.end(), 0.0) / static_cast<double>(problem.ranks());
  const double bound =
      bound_on_times(problem.speed, mean, lower_bound(load, problem.ranks(), problem.slots()));
  WindowSearchOptions options;
  options.holders = holder_rule(problem);
  options.speed = problem.speed;
  options.target = bound / mean * (1 + tolerance);
  options.max_steps = 2000;
  options.cuts = {0.0, 0.6, 0.9, 0.3, 0.9};
  options.patience = 25;
  WindowSearch search(loads, problem.ranks(), experts, {}, options);
  search.run();
  experts = search.placement_after(search.best_prefix());
  return search.moves_tried();
}

}  // namespace moeshift
