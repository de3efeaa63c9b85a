// SPDX-License-Identifier: Apache-2.0
// What the plans of one `plan` make tokens travel, and what balance costs in that.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "moeshift/cost/network.hpp"
#include "moeshift/plan/planner.hpp"
#include "moeshift/plan/policy_options.hpp"

#include "apps/moeshift/inputs/planned_for.hpp"
#include "apps/moeshift/plan/network_report.hpp"
#include "apps/moeshift/plan/plan_goal.hpp"

namespace moeshift::cli {

class PlanNetwork {
 public:
  /// All references must outlive it. @param routes of the steps planned on, or null.
  PlanNetwork(Session& session, const PlannedFor& planned, const PlanGoal& goal,
              const PlannedSteps& steps, const std::shared_ptr<const RouteSummary>& routes,
              const GroupLimit& limit);

  /// How tokens choose replicas, with the routes.
  [[nodiscard]] DispatchOptions rule() const;
  /// Nothing where one expert per token is all that is known.
  [[nodiscard]] std::optional<NetworkFigures> figures(const PlanProblem& problem,
                                                      const PlanResult& plan) const;
  /// The policy alone, and plans that give more and more balance for fewer copies.
  [[nodiscard]] std::vector<FrontierPoint> frontier(const std::string& policy,
                                                    const PolicyOptions& options,
                                                    const PlanProblem& problem) const;

 private:
  [[nodiscard]] FrontierPoint point(std::string name, double slack, const Planner& planner,
                                    const PlanProblem& problem) const;

  Session& session_;
  const PlannedFor& planned_;
  const PlanGoal& goal_;
  PlannedSteps steps_;
  GroupLimit limit_;
  std::shared_ptr<const KnownRoutes> known_;
  std::shared_ptr<const ServingModel> serving_;
};

}  // namespace moeshift::cli
