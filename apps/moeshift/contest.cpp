// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/contest.hpp"

#include <algorithm>
#include <chrono>
#include <limits>
#include <vector>

#include "moeshift/cost/transfer_cost.hpp"
#include "moeshift/plan/lower_bound.hpp"
#include "moeshift/plan/registry.hpp"
#include "moeshift/schedule/scheduler.hpp"

namespace moeshift::cli {
namespace {

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
    bounds[i] = tight_lower_bound(load.row(layer), contest.train.topology.ranks(),
                                  contest.train.slots, peak);
  });
  return bounds;
}

/// Where the experts are before `planner` plans.
Placement previous_of(const Contest& contest, const Planner& planner, Threads threads,
                      Progress& progress) {
  if (contest.from) return *contest.from;
  PlanProblem problem = contest.train;
  if (!contest.before) return make_planner("static")->plan(problem, threads, progress).placement;
  problem.load = *contest.before;
  problem.samples = {*contest.before};
  return planner.plan(problem, threads, progress).placement;
}

}  // namespace

ContestRow try_policy(const Contest& contest, const std::string& policy, const Planner& planner,
                      Threads threads, Progress& progress) {
  const Placement previous = previous_of(contest, planner, threads, progress);
  PlanProblem problem = contest.train;
  problem.old = &previous;
  const auto start = std::chrono::steady_clock::now();
  const PlanResult plan = planner.plan(problem, threads, progress);
  const std::chrono::duration<double> planning = std::chrono::steady_clock::now() - start;
  const TransferPlan transfers =
      make_transfer_plan(previous, plan.placement, problem.topology,
                         contest.expert_bytes.value_or(Bytes(1)), {}, threads);
  ContestRow row{.policy = policy,
                 .train_loads = rank_loads(contest.train.load, plan.placement),
                 .test_loads = rank_loads(contest.test, plan.placement),
                 .train = {},
                 .test = {},
                 .totals = totals_of(transfers),
                 .predicted = {},
                 .planning = Seconds(planning.count())};
  if (contest.cluster && contest.expert_bytes) {
    row.predicted = price(transfers, problem.topology, *contest.cluster).total;
  }
  return row;
}

void judge(const Contest& contest, Threads threads, std::vector<ContestRow>& rows) {
  const auto train =
      bounds_of(contest, contest.train.load, threads, rows, &ContestRow::train_loads);
  const auto test = bounds_of(contest, contest.test, threads, rows, &ContestRow::test_loads);
  for (ContestRow& row : rows) {
    row.train = balance_of(row.train_loads, train);
    row.test = balance_of(row.test_loads, test);
  }
}

}  // namespace moeshift::cli
