// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/contest.hpp"

#include <chrono>
#include <vector>

#include "moeshift/cost/transfer_cost.hpp"
#include "moeshift/plan/lower_bound.hpp"
#include "moeshift/plan/registry.hpp"
#include "moeshift/schedule/scheduler.hpp"

namespace moeshift::cli {
namespace {

Balance judge(const LoadMatrix& load, const Placement& placement) {
  std::vector<double> bounds;
  for (const LayerId layer : load.row_ids()) {
    bounds.push_back(lower_bound(load.row(layer), placement.ranks(), placement.slots()));
  }
  return balance_of(rank_loads(load, placement), bounds);
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
                 .train = judge(contest.train.load, plan.placement),
                 .test = judge(contest.test, plan.placement),
                 .totals = totals_of(transfers),
                 .predicted = {},
                 .planning = Seconds(planning.count())};
  if (contest.cluster && contest.expert_bytes) {
    row.predicted = price(transfers, problem.topology, *contest.cluster).total;
  }
  return row;
}

}  // namespace moeshift::cli
