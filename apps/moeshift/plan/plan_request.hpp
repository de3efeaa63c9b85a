// SPDX-License-Identifier: Apache-2.0
// A plan from its question to its report, whoever asks: the command, or a caller with loads in
// memory.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "moeshift/core/parallel.hpp"
#include "moeshift/judge/plan_on.hpp"
#include "moeshift/model/placement.hpp"
#include "moeshift/plan/planner.hpp"
#include "moeshift/plan/policy_options.hpp"
#include "moeshift/routing/copies.hpp"
#include "moeshift/routing/route_summary.hpp"

#include "apps/moeshift/cli/command.hpp"
#include "apps/moeshift/inputs/planned_for.hpp"
#include "apps/moeshift/plan/plan_goal.hpp"
#include "apps/moeshift/plan/plan_network.hpp"
#include "apps/moeshift/plan/plan_report.hpp"

namespace moeshift::cli {

/// What is asked of a plan, loads and old placement apart.
struct PlanRequest {
  PlanShape shape;
  std::string policy;  ///< empty: the best for what is given
  PolicyOptions policy_options;
  std::vector<std::string> inactive;
  PlanGoal goal;
  std::optional<std::string> forecaster;
  std::shared_ptr<const RouteSummary> routes;  ///< of the steps planned on, or null
  GroupLimit limit = {};                       ///< for estimates from loads alone

  /// What is planned for, and by whom.
  void declare_shape(Options& options);
  void declare_inactive(Options& options);
  /// What a user may ask of the policy, and the goal.
  void declare_goal(Options& options);
};

/// A plan with all that it came from. Not copied or moved: its problem points into it.
class MadePlan {
 public:
  /// Plans. When `session` is interrupted or the time is up, the plan is the best so far.
  /// @param loads at least one step, gathered for the request's forecaster. @param old where the
  /// experts are, if anywhere.
  /// @throws InputError, InfeasibleError.
  MadePlan(Session& session, PlanRequest request, const PlannedLoads& loads, PlannedFor planned,
           std::optional<Placement> old);
  MadePlan(const MadePlan&) = delete;
  MadePlan& operator=(const MadePlan&) = delete;

  [[nodiscard]] const PlanProblem& problem() const { return problem_; }
  [[nodiscard]] const PlanResult& plan() const { return plan_; }
  [[nodiscard]] const PlannedFor& planned() const { return planned_; }
  [[nodiscard]] const std::optional<Placement>& old() const { return old_; }
  /// The user asked to stop.
  [[nodiscard]] bool stopped() const { return stopped_; }

  /// Replaces quick bounds by tight ones, once.
  void tighten(Threads threads);
  /// What the report says of the plan.
  [[nodiscard]] PlanAnswer answer(Session& session) const;
  /// The policy alone, and plans that give more and more balance for fewer copies.
  /// @throws InputError without routes.
  [[nodiscard]] std::vector<FrontierPoint> frontier() const {
    return network_->frontier(request_.policy, request_.policy_options, problem_);
  }

 private:
  [[nodiscard]] std::optional<PlanResult> uniform_plan(Session& session) const;
  [[nodiscard]] PlannedMachine machine(Session& session) const;

  PlanRequest request_;
  std::size_t steps_ = 0;
  PlannedFor planned_;
  std::optional<Placement> old_;
  std::optional<ExpertSizes> sizes_;  ///< with a model
  PlanProblem problem_;
  PlanResult plan_;
  std::unique_ptr<PlanNetwork> network_;
  PlanTimes times_;
  bool stopped_ = false;
  bool tight_ = false;
};

}  // namespace moeshift::cli
