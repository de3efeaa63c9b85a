// SPDX-License-Identifier: Apache-2.0
// What the commands that plan have in common: the shape options and the form of a plan file.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "moeshift/cost/balance.hpp"
#include "moeshift/model/load.hpp"
#include "moeshift/model/topology.hpp"
#include "moeshift/plan/planner.hpp"
#include "moeshift/plan/policy_options.hpp"
#include "moeshift/report/figure.hpp"

#include "apps/moeshift/cli/command.hpp"

namespace moeshift::cli {

class Session;

/// The options that say what is planned for: machine, model, ranks, slots.
struct PlanShape {
  std::optional<std::string> cluster;
  std::optional<std::string> model;
  std::size_t ranks = 0;
  std::size_t slots = 0;
  std::optional<std::size_t> nodes;
  std::optional<std::size_t> groups;
  std::optional<std::string> rank_speed;
  bool allow_different = false;  ///< from what the recording says of its world
  /// Of the plan in force, where it numbers its layers: taken where trace and model do not.
  std::vector<std::int64_t> layer_ids = {};
  std::optional<std::size_t> num_hidden_layers = {};
  /// The plan in force, where it says the ranks, and the nodes: errors name it, not the options.
  std::string ranks_by = {};
  std::string nodes_by = {};

  void declare(Options& options);
};

/// Declares --forecaster of the commands that plan on chosen steps of a trace.
void declare_forecaster(Options& options, std::optional<std::string>& forecaster);

/// Declares what a user may ask of a policy.
/// @param price_steps H of --price seconds:H, which PlanGoal turns into a price.
void declare_policy_options(Options& options, PolicyOptions& policy,
                            std::optional<double>& price_steps);
/// Says in a line what none of `policies` looks at.
void check_policy_options(Session& session, std::span<const std::string> policies,
                          const PolicyOptions& options);

/// {"num_experts", "num_ranks", "layer_ids", "num_hidden_layers", "physical_to_logical"}; -1 = a
/// slot that holds nothing. What `trace` does not say of its layers is left out.
[[nodiscard]] nlohmann::ordered_json to_json(const Placement& placement, const TraceHeader& trace);
/// Every metric under its name.
/// Every metric of docs/metrics.md.
[[nodiscard]] std::vector<FigureValue> figures_of(const Balance& balance);
[[nodiscard]] nlohmann::ordered_json to_json(const Balance& balance);
/// {"layer", "imbalance", "lower_bound", "gap", "keep", "peak_load", "duplicates", "hasty"} per
/// layer, which has the model's own number.
[[nodiscard]] nlohmann::ordered_json to_json(const std::vector<LayerVerdict>& layers,
                                             const TraceHeader& trace);

}  // namespace moeshift::cli
