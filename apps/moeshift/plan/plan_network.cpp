// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/plan/plan_network.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/plan/layer_problem.hpp"
#include "moeshift/plan/registry.hpp"

#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/inputs/route_inputs.hpp"

namespace moeshift::cli {
namespace {

constexpr std::array kSlacks = {0.0, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08};

}  // namespace

PlanNetwork::PlanNetwork(Session& session, const PlannedFor& planned, const PlanGoal& goal,
                         const PlannedSteps& steps,
                         const std::shared_ptr<const RouteSummary>& routes, const GroupLimit& limit)
    : session_(session),
      planned_(planned),
      goal_(goal),
      steps_(steps),
      limit_(limit),
      known_(known_routes(routes.get())),
      serving_(goal.serving_model(session, planned)) {}

DispatchOptions PlanNetwork::rule() const {
  DispatchOptions rule = goal_.dispatch_options(session_);
  rule.routes = known_.get();
  return rule;
}

std::optional<NetworkFigures> PlanNetwork::figures(const PlanProblem& problem,
                                                   const PlanResult& plan) const {
  const std::size_t top_k = known_ ? known_->top_k : planned_.top_k();
  if (top_k < 2) return {};
  NetworkQuestion question{.top_k = top_k,
                           .dispatch = rule(),
                           .limit = limit_,
                           .serving = serving_.get(),
                           .steps = static_cast<double>(steps_.count),
                           .tokens_per_step = goal_.tokens_per_step.value_or(0)};
  question.dispatch.silent = problem.inactive;
  return network_figures(problem.load, plan.placement, problem.topology, question,
                         session_.threads());
}

FrontierPoint PlanNetwork::point(std::string name, double slack, const Planner& planner,
                                 const PlanProblem& problem) const {
  const PlanResult plan = planner.plan(problem, session_.threads(), session_.progress());
  double held_out = 0;
  double layers = 0;  // that had something to ask
  for (const NetworkVerdict& verdict : plan.network) {
    held_out += verdict.held_out;
    layers += verdict.held_out > 0 ? 1 : 0;
  }
  const RankLoads loads =
      active_times(problem, rank_loads(problem.load, plan.placement, problem.topology, rule()));
  const std::size_t serving = problem.topology.ranks() - problem.inactive.size();
  return {std::move(name), slack, balance_of(loads, serving).imbalance,
          layers > 0 ? held_out / layers : 0, *figures(problem, plan)};
}

std::vector<FrontierPoint> PlanNetwork::frontier(const std::string& policy,
                                                 const PolicyOptions& options,
                                                 const PlanProblem& problem) const {
  if (!known_) throw InputError("--frontier", "needs --routes, or a trace of tokens");
  PolicyOptions alone = options;
  alone.network = nullptr;
  std::vector<FrontierPoint> points = {
      point(policy + " alone", 0, *make_planner(policy, alone), problem)};
  for (const double slack : kSlacks) {
    PlanGoal goal = goal_;
    goal.balance_slack = slack;
    PolicyOptions spared = options;
    goal.apply_to(spared, session_, planned_, steps_, true);
    points.push_back(
        point(fmt::format("slack {}", slack), slack, *make_planner(policy, spared), problem));
  }
  return points;
}

}  // namespace moeshift::cli
