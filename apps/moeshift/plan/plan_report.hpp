// SPDX-License-Identifier: Apache-2.0
// The answer of `plan`: what it says of a plan, as tables and as JSON.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "moeshift/core/units.hpp"
#include "moeshift/cost/dispatch.hpp"
#include "moeshift/cost/network.hpp"
#include "moeshift/cost/objective.hpp"
#include "moeshift/formats/placement_format.hpp"
#include "moeshift/model/expert_sizes.hpp"
#include "moeshift/plan/planner.hpp"
#include "moeshift/report/report.hpp"

#include "apps/moeshift/plan/before_after.hpp"

namespace moeshift::cli {

/// Wall-clock seconds of a plan.
struct PlanTimes {
  double plan = 0;   ///< the policy
  double bound = 0;  ///< the certified bounds that its verdicts are judged by
};

/// A plan and what it is an answer to.
struct PlanAnswer {
  std::string policy;
  std::size_t steps = 0;     ///< that were planned on
  const TraceHeader& trace;  ///< numbers of its layers as trace or model say them
  PlannedWorld world;        ///< goes into the plan file
  const PlanProblem& problem;
  const PlanResult& plan;
  PlanTimes times;
  std::string objective;
  Objective goal;
  std::string dispatch;
  DispatchOptions rule;
  std::optional<NetworkFigures> network = {};
  std::optional<ExpertSizes> expert_sizes;
  std::optional<std::size_t> slots_budget;
  std::optional<PlanResult> uniform;  ///< under a budget of slots: the same for all layers
  std::optional<BeforeAfter> change = {};
};

/// The keys that every plan has; see docs/metrics.md for formulae and units.
[[nodiscard]] Report report_plan(const PlanAnswer& answer);

/// A row per layer.
[[nodiscard]] Table layer_table(const PlanAnswer& answer);

/// A row per replica that moved: why, what it gained, how far and how many bytes; also into
/// `result.reasons`.
void explain_moves(const PlanAnswer& answer, Report& report);

}  // namespace moeshift::cli
