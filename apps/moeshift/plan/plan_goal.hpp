// SPDX-License-Identifier: Apache-2.0
// What a plan is good for: which objective, scored how, and what a saved second is worth.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "moeshift/cost/dispatch.hpp"
#include "moeshift/cost/objective.hpp"
#include "moeshift/cost/serving_model.hpp"
#include "moeshift/cost/serving_parameters.hpp"
#include "moeshift/model/load.hpp"
#include "moeshift/plan/planner.hpp"
#include "moeshift/plan/policy_options.hpp"

#include "apps/moeshift/cli/command.hpp"
#include "apps/moeshift/inputs/planned_for.hpp"

namespace moeshift::cli {

/// The steps that a planned load sums up.
struct PlannedSteps {
  std::size_t count = 1;
  std::optional<double> pairs;  ///< (token, expert) of one step and layer, where that is known
};

/// Options of the goal that a command which replays a trace declares with its serving and lanes.
[[nodiscard]] inline std::set<std::string> declared_with_serving() {
  return {"--tokens-per-step", "--serving", "--dispatch"};
}

[[nodiscard]] PlannedSteps steps_of(const LoadMatrix& load, std::size_t count);

/// The options that say what a placement is judged by and how long planning may take; the same for
/// all commands that plan.
struct PlanGoal {
  std::string objective = "tokens";
  std::optional<double> tokens_per_step;
  std::optional<std::string> serving;
  std::string dispatch = "even";
  std::optional<double> time_limit;
  std::optional<double> balance_slack;
  /// A transfer must save its own time in so many steps; declared with the policy's options.
  std::optional<double> price_steps;

  void declare(Options& options);

  /// The goal of a replay, which says by its own options how it serves.
  [[nodiscard]] PlanGoal of_replay(std::optional<double> tokens,
                                   std::optional<std::string> served_by) const;
  [[nodiscard]] DispatchOptions dispatch_options(Session& session) const;
  /// How the machine serves the model, where files say it; nothing asks for it here.
  /// @throws InputError for a file that --serving names and cannot be read.
  [[nodiscard]] std::optional<ServingParameters> serving_if_known(Session& session,
                                                                  const PlannedFor& planned) const;
  /// Reads what only a machine and a model together would make use of, and says when it is not
  /// used.
  /// @throws InputError
  void say_unused(Session& session, const PlannedFor& planned) const;
  /// @throws InputError for a bad number of seconds.
  [[nodiscard]] std::optional<Seconds> limit() const;
  /// `planner`, under the time limit if there is one.
  [[nodiscard]] std::unique_ptr<Planner> limited(std::unique_ptr<Planner> planner) const;

  /// Tells the policy how large an expert is and its objective, and turns price_steps into the
  /// price that policies take.
  ///
  /// A transfer is charged its time alone on its link, message + bytes / slowest of pair and ports,
  /// as if the world stood still for it and nothing overlapped: an upper bound of what it costs.
  /// It must save that much in H steps. A step saves, per unit of imbalance (max / mean) of a
  /// layer, the mean rank's pairs (token, expert) times the seconds that one takes; reading of
  /// weights, which decoding waits for, is not counted. The inter-node price follows from the
  /// links.
  /// @throws InputError for seconds without cluster and model, bytes without a model, a bad
  ///         number of tokens, and for a price in seconds when nothing says how many tokens a step
  ///         has.
  ///
  /// With routes, --balance-slack and the objective seconds make the policy spare the network.
  /// @param with_routes the problems that will be planned have routes.
  void apply_to(PolicyOptions& policy, Session& session, const PlannedFor& planned,
                const PlannedSteps& steps, bool with_routes = false) const;
  /// How the machine serves; null where machine or model are not given, or nothing is known of how
  /// such a machine serves and it was not asked for.
  [[nodiscard]] std::shared_ptr<const ServingModel> serving_model(Session& session,
                                                                  const PlannedFor& planned) const;

 private:
  [[nodiscard]] Objective resolve_objective(Session& session, const PlannedFor& planned,
                                            std::size_t steps) const;
  [[nodiscard]] std::shared_ptr<const NetworkGoal> network_goal(Session& session,
                                                                const PlannedFor& planned,
                                                                const PlannedSteps& steps) const;
  void resolve_price(Session& session, const PlannedFor& planned, const PlannedSteps& steps,
                     PolicyOptions& policy) const;
};

}  // namespace moeshift::cli
