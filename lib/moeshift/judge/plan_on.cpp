// SPDX-License-Identifier: Apache-2.0
#include "moeshift/judge/plan_on.hpp"

#include <memory>
#include <utility>

#include "moeshift/forecast/forecaster.hpp"

namespace moeshift {

void plan_on(PlanProblem& problem, std::span<const LoadMatrix> steps,
             const std::optional<std::string>& forecaster) {
  if (!forecaster) {
    problem.load = sum_of(steps);
    problem.samples.assign(steps.begin(), steps.end());
    return;
  }
  const std::unique_ptr<Forecaster> sees = make_forecaster(*forecaster);
  for (const LoadMatrix& step : steps) sees->observe(step);
  Forecast forecast = sees->forecast();
  problem.load = std::move(forecast.load);
  problem.samples = std::move(forecast.samples);
}

}  // namespace moeshift
