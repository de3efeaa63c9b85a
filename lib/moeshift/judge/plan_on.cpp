// SPDX-License-Identifier: Apache-2.0
#include "moeshift/judge/plan_on.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <utility>

namespace moeshift {
namespace {

void add_to(LoadMatrix& sum, const LoadMatrix& more) {
  std::transform(sum.items().begin(), sum.items().end(), more.items().begin(), sum.items().begin(),
                 std::plus<>());
}

/// Adds up neighbours; one that is left over stays as it is.
void join_neighbours(std::vector<LoadMatrix>& samples) {
  for (std::size_t i = 0; i < samples.size(); i += 2) {
    if (i + 1 < samples.size()) add_to(samples[i], samples[i + 1]);
    if (i > 0) samples[i / 2] = std::move(samples[i]);
  }
  samples.resize((samples.size() + 1) / 2);
}

}  // namespace

PlannedLoads::PlannedLoads(const std::optional<std::string>& forecaster, Bytes most_samples)
    : forecaster_(forecaster ? make_forecaster(*forecaster) : nullptr),
      most_samples_(most_samples) {}

void PlannedLoads::add(const LoadMatrix& step) {
  if (steps_++ == 0) {
    sum_ = step;
  } else {
    add_to(sum_, step);
  }
  if (forecaster_) {
    forecaster_->observe(step);
  } else {
    add_sample(step);
  }
}

void PlannedLoads::add_sample(const LoadMatrix& step) {
  if (!samples_.empty() && in_last_ < steps_per_sample_) {
    add_to(samples_.back(), step);
    ++in_last_;
    return;
  }
  const std::size_t each = std::max<std::size_t>(step.items().size() * sizeof(double), 1);
  const std::size_t room = static_cast<std::size_t>(most_samples_.count()) / each;
  if (samples_.size() >= std::max<std::size_t>(room, 2) && samples_.size() % 2 == 0) {
    join_neighbours(samples_);
    steps_per_sample_ *= 2;
  }
  samples_.push_back(step);
  in_last_ = 1;
}

void PlannedLoads::give_to(PlanProblem& problem) const {
  problem.scenarios = forecaster_ != nullptr;
  if (!forecaster_) {
    problem.load = sum_;
    problem.samples = samples_;
    return;
  }
  Forecast forecast = forecaster_->forecast();
  problem.evidence = forecast.evidence;
  problem.load = std::move(forecast.load);
  problem.samples = std::move(forecast.samples);
}

void plan_on(PlanProblem& problem, std::span<const LoadMatrix> steps,
             const std::optional<std::string>& forecaster) {
  PlannedLoads loads(forecaster, Bytes(std::numeric_limits<std::int64_t>::max()));
  for (const LoadMatrix& step : steps) loads.add(step);
  loads.give_to(problem);
}

}  // namespace moeshift
