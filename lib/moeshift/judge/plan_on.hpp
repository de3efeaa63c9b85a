// SPDX-License-Identifier: Apache-2.0
// From recorded steps to what a planner plans on.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "moeshift/core/units.hpp"
#include "moeshift/forecast/forecaster.hpp"
#include "moeshift/model/load.hpp"
#include "moeshift/plan/planner.hpp"

namespace moeshift {

/// The steps to plan on, gathered one by one: their sum as the load and each as a sample, or what a
/// forecaster that saw them makes of them, which is one step's load.
///
/// Memory is bounded: once samples would take more than `most_samples`, two neighbours are added up
/// to one, as often as it takes. Equal steps give equal plans; only a trace with more samples than
/// that is planned on sums of several steps.
class PlannedLoads {
 public:
  static constexpr Bytes kMostSamples{std::int64_t{128} << 20};

  /// @throws InputError for an unknown forecaster.
  explicit PlannedLoads(const std::optional<std::string>& forecaster,
                        Bytes most_samples = kMostSamples);

  void add(const LoadMatrix& step);
  [[nodiscard]] std::size_t steps() const { return steps_; }
  /// Of all steps; at least one.
  [[nodiscard]] const LoadMatrix& sum() const { return sum_; }
  /// How many steps a sample stands for; 1 unless memory would not do.
  [[nodiscard]] std::size_t steps_per_sample() const { return steps_per_sample_; }

  /// Gives `problem` what to plan on. At least one step.
  void give_to(PlanProblem& problem) const;

 private:
  void add_sample(const LoadMatrix& step);

  std::unique_ptr<Forecaster> forecaster_;
  Bytes most_samples_;
  std::size_t steps_ = 0;
  LoadMatrix sum_;
  std::vector<LoadMatrix> samples_;
  std::size_t steps_per_sample_ = 1;
  std::size_t in_last_ = 0;  ///< steps that the last sample stands for
};

/// The same, of steps that lie in memory.
/// @param steps at least one. @throws InputError for an unknown forecaster.
void plan_on(PlanProblem& problem, std::span<const LoadMatrix> steps,
             const std::optional<std::string>& forecaster);

}  // namespace moeshift
