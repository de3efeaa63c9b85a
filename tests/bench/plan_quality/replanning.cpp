// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/plan_quality/replanning.hpp"

#include <memory>

#include "moeshift/core/error.hpp"
#include "moeshift/forecast/forecaster.hpp"
#include "moeshift/plan/relabel.hpp"

namespace moeshift::quality {
namespace {

Placement relabelled(const PlanProblem& problem, const Placement& plan) {
  IdMatrix<LayerId, SlotId, ExpertId> slots = plan.physical_to_logical();
  for (const LayerProblem& layer : layers_of(problem)) {
    const auto row = slots.row(layer.layer);
    std::vector<ExpertId> renamed(row.begin(), row.end());
    relabel(layer, {}, Exchangeable::kRanks, renamed);
    std::copy(renamed.begin(), renamed.end(), row.begin());
  }
  return Placement(plan.experts(), plan.ranks(), std::move(slots));
}

PlanProblem forecast_problem(const Forecaster& forecaster, const Shape& shape) {
  Forecast forecast = forecaster.forecast();
  PlanProblem problem = problem_of(forecast.load, shape);
  problem.samples = std::move(forecast.samples);
  problem.scenarios = true;
  problem.evidence = forecast.evidence;
  return problem;
}

PlanResult next_plan(const Contender& contender, const PlanProblem& problem) {
  if (contender.planner == nullptr) {
    return plan_by(contender.policy, contender.options, problem);
  }
  NoProgress progress;
  return contender.planner->plan(problem, Threads{2}, progress);
}

}  // namespace

Outcome replan(const Replanning& run, const Contender& contender) {
  MOESHIFT_CHECK(run.first > 0 && run.first < run.windows.size());
  const std::unique_ptr<Forecaster> forecaster = make_forecaster(contender.forecaster);
  for (std::size_t t = 0; t < run.first; ++t) forecaster->observe(run.windows[t]);
  const std::string start = contender.replans ? run.start : contender.policy;
  Placement now =
      plan_by(start, contender.options, forecast_problem(*forecaster, run.shape)).placement;
  Outcome outcome;
  std::size_t plans = 0;
  for (std::size_t t = run.first; t < run.windows.size(); ++t) {
    PlanProblem problem = forecast_problem(*forecaster, run.shape);
    problem.old = &now;
    if (contender.replans) {
      Placement next = next_plan(contender, problem).placement;
      if (contender.relabels) next = relabelled(problem, next);
      if (t > run.first) {  // the first move depends on the start more than on the policy
        const Moves moves = moves_between(now, next, problem.topology);
        outcome.moves.all += moves.all;
        outcome.moves.inter_node += moves.inter_node;
        ++plans;
      }
      now = std::move(next);
    }
    outcome.in_sample += balancedness_of(problem.load, now);
    outcome.by_window.push_back(balancedness_of(run.windows[t], now));
    forecaster->observe(run.windows[t]);
  }
  outcome.in_sample /= static_cast<double>(outcome.by_window.size());
  outcome.balance = mean_of_values(outcome.by_window);
  if (plans > 0) {
    outcome.moves.all /= static_cast<double>(plans);
    outcome.moves.inter_node /= static_cast<double>(plans);
  }
  return outcome;
}

}  // namespace moeshift::quality
