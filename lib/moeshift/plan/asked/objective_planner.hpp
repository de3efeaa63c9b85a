// SPDX-License-Identifier: Apache-2.0
// Plans of any policy for an objective other than tokens.
#pragma once

#include <memory>
#include <utility>

#include "moeshift/cost/objective.hpp"
#include "moeshift/plan/planner.hpp"

namespace moeshift {

/// Lets a policy, which balances loads that are shared evenly, plan for what a replica costs.
///
/// A replica's cost is not its expert's cost over the number of replicas: a hot expert that is
/// split is read by every holder. So the policy plans several times, per layer the plan whose
/// busiest rank costs least is taken: once on the tokens; twice on loads c x cost(c) at the replica
/// counts c of the plan before, exact as long as the policy keeps those counts; and, for a policy
/// that plans afresh without further demands, from counts that this objective likes (spare replicas
/// in part to the hottest, in part to where they activate least more), packed and improved by
/// swaps. A heuristic: verdicts and bounds of the result speak of tokens, rank_costs() of the
/// objective.
class ObjectivePlanner final : public Planner {
 public:
  /// @param afresh the policy ignores the old placement but for naming ranks.
  ObjectivePlanner(std::unique_ptr<Planner> policy, const Objective& objective, bool afresh)
      : policy_(std::move(policy)), objective_(objective), afresh_(afresh) {}

  [[nodiscard]] PlanResult plan(const PlanProblem& problem, Threads threads,
                                Progress& progress) const override;

 private:
  std::unique_ptr<Planner> policy_;
  Objective objective_;
  bool afresh_;
};

}  // namespace moeshift
