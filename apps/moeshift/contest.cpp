// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/contest.hpp"

#include <algorithm>
#include <chrono>
#include <limits>
#include <numeric>
#include <span>
#include <vector>

#include "moeshift/cost/transfer_cost.hpp"
#include "moeshift/plan/lower_bound.hpp"
#include "moeshift/plan/registry.hpp"
#include "moeshift/schedule/scheduler.hpp"

#include "apps/moeshift/planning.hpp"

namespace moeshift::cli {
namespace {

RankLoads loads_under(const Contest& contest, const LoadMatrix& load, const Placement& placement) {
  return rank_loads(load, placement, contest.train.topology, contest.dispatch);
}

/// No split of tokens over replicas beats the mean; placements are bounded more tightly when all
/// replicas take the same share, and more so when the peak of a good one is known.
double bound_of(const Contest& contest, std::span<const double> load, std::optional<double> peak) {
  const std::size_t ranks = contest.train.topology.ranks();
  if (contest.dispatch.rule != DispatchRule::kEven) {
    return std::accumulate(load.begin(), load.end(), 0.0) / static_cast<double>(ranks);
  }
  return peak ? tight_lower_bound(load, ranks, contest.train.slots, *peak)
              : lower_bound(load, ranks, contest.train.slots);
}

/// Bounds [layers] for `load`; `loads_of` picks the rank loads that each row has under it.
std::vector<double> bounds_of(const Contest& contest, const LoadMatrix& load, Threads threads,
                              const std::vector<ContestRow>& rows,
                              RankLoads ContestRow::* loads_of) {
  std::vector<double> bounds(load.rows());
  parallel_for(load.rows(), threads, [&](std::size_t i) {
    const LayerId layer(i);
    double peak = std::numeric_limits<double>::infinity();
    for (const ContestRow& row : rows) {
      const auto ranks = (row.*loads_of).row(layer);
      peak = std::min(peak, *std::max_element(ranks.begin(), ranks.end()));
    }
    bounds[i] = bound_of(contest, load.row(layer), peak);
  });
  return bounds;
}

Placement initial_map(const Contest& contest) {
  PlanProblem problem = contest.train;
  if (problem.load.rows() == 0) problem.load = contest.test.front();
  NoProgress progress;
  return make_planner("static")->plan(problem, Threads{1}, progress).placement;
}

/// Where the experts are before `planner` plans.
Placement previous_of(const Contest& contest, const Planner& planner, Threads threads,
                      Progress& progress) {
  if (contest.from) return *contest.from;
  if (!contest.before) return initial_map(contest);
  PlanProblem problem = contest.train;
  problem.load = *contest.before;
  problem.samples = {*contest.before};
  return planner.plan(problem, threads, progress).placement;
}

/// Adds what moving from `before` to `after` takes.
void add_move(const Contest& contest, const Placement& before, const Placement& after,
              Threads threads, ContestRow& row) {
  const TransferPlan plan = make_transfer_plan(
      before, after, contest.train.topology, contest.expert_sizes.value_or(Bytes(1)), {}, threads);
  const TransferTotals totals = totals_of(plan);
  row.transfers += static_cast<double>(totals.transfers);
  for (const LinkClass link : {LinkClass::kInterNode, LinkClass::kInterRack}) {
    row.transfers_beyond_node +=
        static_cast<double>(totals.transfers_by_link[static_cast<std::size_t>(link)]);
  }
  for (std::size_t link = 0; link < kLinkClasses; ++link) {
    row.bytes_by_link[link] += static_cast<double>(totals.bytes_by_link[link].count());
  }
  if (!contest.cluster || !contest.expert_sizes) return;
  row.predicted = row.predicted.value_or(Seconds()) +
                  price(plan, contest.train.topology, *contest.cluster).total;
}

Placement plan_timed(const Planner& planner, const PlanProblem& problem, Threads threads,
                     Progress& progress, Seconds& planning) {
  const auto start = std::chrono::steady_clock::now();
  Placement placement = planner.plan(problem, threads, progress).placement;
  planning +=
      Seconds(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  return placement;
}

Balance balance_under(const Contest& contest, const LoadMatrix& load, const Placement& placement) {
  std::vector<double> bounds;
  for (const LayerId layer : load.row_ids()) {
    bounds.push_back(bound_of(contest, load.row(layer), std::nullopt));
  }
  return balance_of(loads_under(contest, load, placement), bounds);
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

std::string ContestRow::name() const {
  return setting.empty() ? policy : policy + ", " + setting;
}

double ContestRow::bytes_beyond_node() const {
  return bytes_by_link[static_cast<std::size_t>(LinkClass::kInterNode)] +
         bytes_by_link[static_cast<std::size_t>(LinkClass::kInterRack)];
}

ContestRow try_policy(const Contest& contest, const std::string& policy, const Planner& planner,
                      Threads threads, Progress& progress) {
  const Placement previous = previous_of(contest, planner, threads, progress);
  PlanProblem problem = contest.train;
  problem.old = &previous;
  ContestRow row;
  row.policy = policy;
  row.slots = problem.slots;
  const Placement placement = plan_timed(planner, problem, threads, progress, row.planning);
  add_move(contest, previous, placement, threads, row);
  row.train_loads = loads_under(contest, problem.load, placement);
  row.test_loads = loads_under(contest, sum_of(contest.test), placement);
  for (const LoadMatrix& window : contest.test) {
    row.scores.push_back(balance_of(loads_under(contest, window, placement)).balancedness);
  }
  return row;
}

ContestRow replay_policy(const Contest& contest, const std::string& policy, const Planner& planner,
                         std::size_t history, std::size_t start, Progress& progress) {
  ContestRow row;
  row.policy = policy;
  row.slots = contest.train.slots;
  Placement placement = contest.from ? *contest.from : initial_map(contest);
  std::vector<Balance> train;
  std::vector<Balance> test;
  const std::size_t plans = contest.test.size() - start;
  for (std::size_t next = start; next < contest.test.size(); ++next) {
    PlanProblem problem = contest.train;
    plan_on(problem, std::span(contest.test).subspan(next - history, history), contest.forecaster);
    problem.old = &placement;
    Placement planned = plan_timed(planner, problem, Threads{1}, progress, row.planning);
    if (next > start || plans == 1) add_move(contest, placement, planned, Threads{1}, row);
    placement = std::move(planned);
    train.push_back(balance_under(contest, problem.load, placement));
    test.push_back(balance_under(contest, contest.test[next], placement));
    row.scores.push_back(test.back().balancedness);
  }
  row.train = mean_of(train);
  row.test = mean_of(test);
  row.rearrangements = std::max<std::size_t>(plans - 1, 1);
  const auto moves = static_cast<double>(row.rearrangements);
  row.transfers /= moves;
  row.transfers_beyond_node /= moves;
  for (double& bytes : row.bytes_by_link) bytes /= moves;
  if (row.predicted) row.predicted = *row.predicted / moves;
  row.planning = row.planning / static_cast<double>(plans);
  return row;
}

void judge(const Contest& contest, Threads threads, std::vector<ContestRow>& rows) {
  const auto train =
      bounds_of(contest, contest.train.load, threads, rows, &ContestRow::train_loads);
  const auto test =
      bounds_of(contest, sum_of(contest.test), threads, rows, &ContestRow::test_loads);
  for (ContestRow& row : rows) {
    row.train = balance_of(row.train_loads, train);
    row.test = balance_of(row.test_loads, test);
  }
}

}  // namespace moeshift::cli
