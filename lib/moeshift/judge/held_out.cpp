// SPDX-License-Identifier: Apache-2.0
#include "moeshift/judge/held_out.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "moeshift/cost/transfer_cost.hpp"
#include "moeshift/judge/plan_on.hpp"
#include "moeshift/plan/layer_problem.hpp"
#include "moeshift/plan/lower_bound.hpp"
#include "moeshift/plan/registry.hpp"
#include "moeshift/schedule/scheduler.hpp"

namespace moeshift {
namespace {

/// Times, where ranks differ in speed.
RankLoads loads_under(const Comparison& comparison, const LoadMatrix& load,
                      const Placement& placement, bool held_out = false) {
  DispatchOptions dispatch = comparison.dispatch;
  if (comparison.routes) {
    const ComparedRoutes& routes = *comparison.routes;
    dispatch.routes = held_out ? routes.test_known.get() : routes.train_known.get();
  }
  return active_times(comparison.train,
                      rank_loads(load, placement, comparison.train.topology, dispatch));
}

/// No split of tokens over replicas beats the mean; placements are bounded more tightly when all
/// replicas take the same share, and more so when the peak of a good one is known.
double bound_of(const Comparison& comparison, std::span<const double> load,
                std::optional<double> peak) {
  const std::size_t ranks = comparison.train.topology.ranks();
  const double mean = std::accumulate(load.begin(), load.end(), 0.0) / static_cast<double>(ranks);
  if (comparison.dispatch.rule != DispatchRule::kEven) return mean;
  const std::vector<double> speed = active_speeds(comparison.train);
  const double fastest = speed.empty() ? 1 : *std::max_element(speed.begin(), speed.end());
  const double on_tokens =
      peak ? tight_lower_bound(load, ranks, comparison.train.slots, *peak * fastest)
           : lower_bound(load, ranks, comparison.train.slots);
  return bound_on_times(speed, mean, on_tokens);
}

/// Bounds [layers] for `load`; `loads_of` picks the rank loads that each row has under it.
std::vector<double> bounds_of(const Comparison& comparison, const LoadMatrix& load, Threads threads,
                              const std::vector<ComparisonRow>& rows,
                              RankLoads ComparisonRow::* loads_of) {
  std::vector<double> bounds(load.rows());
  parallel_for(load.rows(), threads, [&](std::size_t i) {
    const LayerId layer(i);
    double peak = std::numeric_limits<double>::infinity();
    for (const ComparisonRow& row : rows) {
      const auto ranks = (row.*loads_of).row(layer);
      peak = std::min(peak, *std::max_element(ranks.begin(), ranks.end()));
    }
    bounds[i] = bound_of(comparison, load.row(layer), peak);
  });
  return bounds;
}

Placement initial_map(const Comparison& comparison) {
  PlanProblem problem = comparison.train;
  if (problem.load.rows() == 0) problem.load = comparison.test.sum();
  NoProgress progress;
  return make_planner("static")->plan(problem, Threads{1}, progress).placement;
}

/// Where the experts are before `planner` plans.
Placement previous_of(const Comparison& comparison, const Planner& planner, Threads threads,
                      Progress& progress) {
  if (comparison.from) return *comparison.from;
  if (!comparison.before) return initial_map(comparison);
  PlanProblem problem = comparison.train;
  problem.load = *comparison.before;
  problem.samples = {*comparison.before};
  return planner.plan(problem, threads, progress).placement;
}

/// Adds what moving from `before` to `after` takes.
void add_move(const Comparison& comparison, const Placement& before, const Placement& after,
              Threads threads, ComparisonRow& row) {
  const TransferPlan plan =
      make_transfer_plan(before, after, comparison.train.topology,
                         comparison.expert_sizes.value_or(Bytes(1)), {}, threads);
  const TransferTotals totals = totals_of(plan);
  row.transfers += static_cast<double>(totals.transfers);
  for (const LinkClass link : {LinkClass::kInterNode, LinkClass::kInterRack}) {
    row.transfers_beyond_node +=
        static_cast<double>(totals.transfers_by_link[static_cast<std::size_t>(link)]);
  }
  for (std::size_t link = 0; link < kLinkClasses; ++link) {
    row.bytes_by_link[link] += static_cast<double>(totals.bytes_by_link[link].count());
  }
  if (!comparison.cluster || !comparison.expert_sizes) return;
  row.predicted = row.predicted.value_or(Seconds()) +
                  price(plan, comparison.train.topology, *comparison.cluster).total;
}

Placement plan_timed(const Planner& planner, const PlanProblem& problem, Threads threads,
                     Progress& progress, Seconds& planning) {
  const auto start = std::chrono::steady_clock::now();
  Placement placement = planner.plan(problem, threads, progress).placement;
  planning +=
      Seconds(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  return placement;
}

std::size_t serving(const Comparison& comparison) {
  return comparison.train.topology.ranks() - comparison.train.inactive.size();
}

Balance balance_under(const Comparison& comparison, const LoadMatrix& load,
                      const Placement& placement) {
  std::vector<double> bounds;
  for (const LayerId layer : load.row_ids()) {
    bounds.push_back(bound_of(comparison, load.row(layer), std::nullopt));
  }
  return balance_of(loads_under(comparison, load, placement), serving(comparison), bounds);
}

/// The metrics under one name.
constexpr std::array<double Balance::*, 7> kMetrics = {
    &Balance::balancedness,     &Balance::balancedness_vllm, &Balance::imbalance,
    &Balance::imbalance_trtllm, &Balance::peak_load,         &Balance::gap_mean,
    &Balance::gap_max};

Balance mean_of(const std::vector<Balance>& balances) {
  Balance mean;
  for (double Balance::* const metric : kMetrics) {
    mean.*metric = 0;
    for (const Balance& balance : balances) mean.*metric += balance.*metric;
    mean.*metric /= static_cast<double>(balances.size());
  }
  return mean;
}

}  // namespace

std::string ComparisonRow::name() const {
  return setting.empty() ? policy : policy + ", " + setting;
}

double ComparisonRow::bytes_beyond_node() const {
  return bytes_by_link[static_cast<std::size_t>(LinkClass::kInterNode)] +
         bytes_by_link[static_cast<std::size_t>(LinkClass::kInterRack)];
}

double ComparisonRow::mean_score() const {
  return std::accumulate(scores.begin(), scores.end(), 0.0) / static_cast<double>(scores.size());
}

double ComparisonRow::worst_score() const {
  return *std::min_element(scores.begin(), scores.end());
}

double ComparisonRow::low_score() const {
  std::vector<double> sorted = scores;
  std::sort(sorted.begin(), sorted.end());
  const double rank = std::ceil(0.05 * static_cast<double>(sorted.size()));
  return sorted[static_cast<std::size_t>(std::max(rank, 1.0)) - 1];
}

HeldOutWindows::HeldOutWindows(std::vector<LoadMatrix> windows) {
  if (!windows.empty()) sum_ = sum_of(windows);
  const auto kept = std::make_shared<const std::vector<LoadMatrix>>(std::move(windows));
  each_ = [kept](const Visit& visit) {
    for (const LoadMatrix& window : *kept) visit(window);
  };
}

PlannedRow plan_policy(const Comparison& comparison, const std::string& policy,
                       const Planner& planner, Threads threads, Progress& progress) {
  const Placement previous = previous_of(comparison, planner, threads, progress);
  PlanProblem problem = comparison.train;
  problem.old = &previous;
  ComparisonRow row;
  row.policy = policy;
  row.slots = problem.slots;
  Placement placement = plan_timed(planner, problem, threads, progress, row.planning);
  add_move(comparison, previous, placement, threads, row);
  row.train_loads = loads_under(comparison, problem.load, placement);
  row.test_loads = loads_under(comparison, comparison.test.sum(), placement, true);
  if (comparison.routes) {
    row.network = network_scores(*comparison.routes, placement, problem.topology,
                                 comparison.dispatch, threads);
  }
  return {std::move(row), std::move(placement)};
}

void score_rows(const Comparison& comparison, std::span<PlannedRow> rows) {
  comparison.test.each([&](const LoadMatrix& window) {
    for (PlannedRow& planned : rows) {
      const RankLoads loads = loads_under(comparison, window, planned.placement, true);
      planned.row.scores.push_back(balance_of(loads, serving(comparison)).balancedness);
    }
  });
}

ComparisonRow try_policy(const Comparison& comparison, const std::string& policy,
                         const Planner& planner, Threads threads, Progress& progress) {
  PlannedRow planned = plan_policy(comparison, policy, planner, threads, progress);
  score_rows(comparison, {&planned, 1});
  return std::move(planned.row);
}

PolicyReplay::PolicyReplay(const Comparison& comparison, std::string policy, const Planner& planner,
                           std::size_t history, std::size_t plans)
    : comparison_(&comparison), planner_(&planner), history_(history), plans_(plans) {
  row_.policy = std::move(policy);
  row_.slots = comparison.train.slots;
}

void PolicyReplay::judge(std::span<const LoadMatrix> past, const LoadMatrix& window,
                         Progress& progress) {
  if (!placement_) placement_ = comparison_->from ? *comparison_->from : initial_map(*comparison_);
  PlanProblem problem = comparison_->train;
  plan_on(problem, past.last(history_), comparison_->forecaster);
  problem.old = &*placement_;
  Placement planned = plan_timed(*planner_, problem, Threads{1}, progress, row_.planning);
  if (!row_.scores.empty() || plans_ == 1) {
    add_move(*comparison_, *placement_, planned, Threads{1}, row_);
  }
  placement_ = std::move(planned);
  train_.push_back(balance_under(*comparison_, problem.load, *placement_));
  test_.push_back(balance_under(*comparison_, window, *placement_));
  row_.scores.push_back(test_.back().balancedness);
}

ComparisonRow PolicyReplay::row() const {
  ComparisonRow row = row_;
  row.train = mean_of(train_);
  row.test = mean_of(test_);
  row.rearrangements = std::max<std::size_t>(plans_ - 1, 1);
  const auto moves = static_cast<double>(row.rearrangements);
  row.transfers /= moves;
  row.transfers_beyond_node /= moves;
  for (double& bytes : row.bytes_by_link) bytes /= moves;
  if (row.predicted) row.predicted = *row.predicted / moves;
  row.planning = row.planning / static_cast<double>(plans_);
  return row;
}

void judge_rows(const Comparison& comparison, Threads threads, std::vector<ComparisonRow>& rows) {
  const auto train =
      bounds_of(comparison, comparison.train.load, threads, rows, &ComparisonRow::train_loads);
  const auto test =
      bounds_of(comparison, comparison.test.sum(), threads, rows, &ComparisonRow::test_loads);
  for (ComparisonRow& row : rows) {
    row.train = balance_of(row.train_loads, serving(comparison), train);
    row.test = balance_of(row.test_loads, serving(comparison), test);
  }
}

Standings standings_of(const std::vector<ComparisonRow>& rows, std::size_t reference,
                       std::uint64_t seed) {
  const DifferenceOptions options{.seed = seed};
  std::vector<Tradeoff> tradeoffs;
  for (const ComparisonRow& row : rows) tradeoffs.push_back({row.mean_score(), row.transfers});
  Standings standings{ranking_of(tradeoffs, [&](std::size_t a, std::size_t b) {
    return paired_difference(rows[a].scores, rows[b].scores, options);
  })};
  standings.reference = reference;
  for (const ComparisonRow& row : rows) {
    standings.differences.push_back(paired_difference(row.scores, rows[reference].scores, options));
  }
  standings.thrifty = cheapest_of_equals(
      standings, [](std::size_t) { return true; },
      [&](std::size_t a, std::size_t b) { return rows[a].transfers < rows[b].transfers; });
  return standings;
}

}  // namespace moeshift
