// SPDX-License-Identifier: Apache-2.0
// From recorded steps to what a planner plans on.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "moeshift/model/load.hpp"
#include "moeshift/plan/planner.hpp"

namespace moeshift {

/// Gives `problem` the steps to plan on: their sum as the load and each as a sample, or what a
/// forecaster that saw them makes of them, which is one step's load.
/// @param steps at least one. @throws InputError for an unknown forecaster.
void plan_on(PlanProblem& problem, std::span<const LoadMatrix> steps,
             const std::optional<std::string>& forecaster);

}  // namespace moeshift
