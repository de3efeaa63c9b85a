// SPDX-License-Identifier: Apache-2.0
// What is asked of the policies of a comparison: the options of `compare`.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "moeshift/model/expert_sizes.hpp"
#include "moeshift/plan/policy_options.hpp"

#include "apps/moeshift/cli/command.hpp"
#include "apps/moeshift/inputs/plan_shape.hpp"
#include "apps/moeshift/inputs/route_inputs.hpp"
#include "apps/moeshift/inputs/trace_inputs.hpp"
#include "apps/moeshift/plan/plan_goal.hpp"

namespace moeshift::cli {

/// Settings are every number of slots with every training window or, in a replay, every history.
struct CompareOptions {
  TraceInputs trace;
  std::vector<std::string> policies;
  PlanShape shape;
  std::vector<std::string> slots;
  std::vector<std::size_t> slot_counts;
  std::vector<std::string> train;
  std::optional<std::string> test;
  std::optional<std::string> previous;
  std::optional<std::string> from;
  bool replay = false;
  std::size_t window = 1;
  std::vector<std::string> history;
  std::vector<std::size_t> history_counts;
  PlanGoal goal;
  RouteInputs routes;
  std::optional<std::string> forecaster;
  std::optional<std::string> reference;
  PolicyOptions policy_options;

  void declare(Options& options);
  /// Fills `slot_counts`, `history_counts`, `sizes` and what a budget in bytes means to policies.
  /// @throws InputError for options that do not go together.
  void check();

  /// A line for each option that was given and changes nothing.
  [[nodiscard]] std::vector<std::string> unused() const;
  [[nodiscard]] PlanShape shape_with(std::size_t slot_count) const;
  /// Ranks, slots and model of the recording, where nothing else says them.
  void take_record(Session& session, const TraceHeader& header);
  /// What they all move away from, in words.
  [[nodiscard]] std::string previous_text() const;

 private:
  void check_policies() const;
  void check_steps() const;
  void check_held_out() const;
};

}  // namespace moeshift::cli
