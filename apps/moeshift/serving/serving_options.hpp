// SPDX-License-Identifier: Apache-2.0
// What the commands that replay traces have in common: options, deployment, lanes.
#pragma once

#include <cstdint>
#include <functional>
#include <istream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "moeshift/formats/trace_format.hpp"
#include "moeshift/model/load.hpp"
#include "moeshift/plan/policy_options.hpp"
#include "moeshift/simulate/lane.hpp"
#include "moeshift/simulate/replay.hpp"

#include "apps/moeshift/cli/command.hpp"
#include "apps/moeshift/inputs/planned_for.hpp"
#include "apps/moeshift/inputs/route_inputs.hpp"
#include "apps/moeshift/inputs/trace_inputs.hpp"
#include "apps/moeshift/moves/schedule_options.hpp"

namespace moeshift::cli {

/// A trace that is being read; its files count as inputs of the result.
class OpenTrace {
 public:
  OpenTrace(Session& session, const TraceInputs& trace, const std::optional<std::string>& model,
            Reading reading = Reading::kOnce);

  [[nodiscard]] const TraceHeader& header() const { return reader_->header(); }
  [[nodiscard]] StepSource source();
  /// Its steps are tokens, and can be read again.
  [[nodiscard]] bool has_routes() const;

 private:
  std::unique_ptr<TraceReader> reader_;
  bool again_ = true;
};

/// The machine and the model as they serve.
struct ServingOptions {
  std::optional<std::string> serving;
  std::optional<std::string> step_time_file;
  std::optional<double> step_fixed;
  std::optional<double> overlap;
  std::optional<double> tokens_per_step;
  std::size_t repeat = 1;

  void declare(Options& options);
  /// @throws InputError without cluster and model.
  [[nodiscard]] std::unique_ptr<Deployment> deployment(Session& session,
                                                       const PlannedFor& planned) const;
  [[nodiscard]] ReplayOptions replay_options(Session& session) const;
};

/// Planners that differ in nothing but what they balance: tokens, activated experts or seconds of a
/// step of so many tokens.
[[nodiscard]] std::vector<std::pair<std::string, std::shared_ptr<const Planner>>>
objective_planners(const Deployment& deployment, double tokens_per_step,
                   const std::string& policy = "balanced", PolicyOptions options = {});

/// How a policy is run: --like sets the defaults, every other option one of them.
struct LaneOptions {
  std::string like = "moeshift";
  std::optional<std::string> mode;
  std::optional<std::string> forecaster;
  std::optional<std::size_t> interval;
  std::optional<std::size_t> first;
  std::optional<double> threshold;
  std::optional<double> hysteresis;
  std::optional<double> gain_over_cost;
  bool ungated = false;
  std::optional<std::size_t> horizon;
  std::optional<std::size_t> buffers;
  std::optional<double> plan_seconds;
  std::optional<double> background_share;
  std::optional<std::string> dispatch;
  std::optional<double> replica_bias;
  ScheduleLimits limits;
  RouteInputs route_inputs;
  std::shared_ptr<const RouteSummary> routes;  ///< of read_routes(); null: not known
  std::shared_ptr<const KnownRoutes> known;

  void declare(Options& options);
  /// Reads which experts tokens choose together; settings() then say it.
  void read_routes(Session& session, const TraceInputs& trace,
                   const std::optional<std::string>& model, const OpenTrace& opened);
  /// There are routes to plan with: recorded apart from what is served.
  [[nodiscard]] bool plans_with_routes() const { return routes && route_inputs.given(); }
  /// What two placements make tokens travel, on the routes; null without any.
  [[nodiscard]] nlohmann::ordered_json network_json(Session& session, const Deployment& deployment,
                                                    const Placement& before,
                                                    const Placement& after) const;
  /// Everything but the planner and the schedule. @throws InputError naming the option.
  [[nodiscard]] LaneSettings settings(std::uint64_t seed, const std::string& policy = "") const;
  [[nodiscard]] ScheduleOptions schedule(const Cluster& cluster) const;
  /// A line for each option that is given and would change nothing for `policy`.
  /// @throws InputError for options that contradict each other.
  [[nodiscard]] std::vector<std::string> unused(const std::string& policy) const;
};

/// Ranks that fail, join or leave.
struct WorldOptions {
  std::vector<std::string> failures;
  std::vector<std::string> resizes;
  std::optional<Bytes> reload_rate;

  void declare(Options& options);
  /// By ascending step; failures before resizes of the same step. @throws InputError.
  [[nodiscard]] std::vector<WorldEvent> events() const;
  /// The shape with as many ranks as there ever are; slots per rank and ranks per node stay.
  [[nodiscard]] PlanShape largest(const PlanShape& shape) const;
  void apply(LaneSettings& settings) const;
  /// A line for each option that is given and not used.
  [[nodiscard]] std::vector<std::string> unused() const;
};

/// The planner of a lane. Trickle mode needs `incremental` or `robust`; it gets the budget of a
/// step, or of an exchange of two experts where that is more.
/// @throws InputError when policy and mode do not go together.
[[nodiscard]] std::unique_ptr<Planner> lane_planner(const std::string& policy,
                                                    PolicyOptions options, const ModeOptions& mode,
                                                    Bytes expert_bytes);

/// `placement` in a world of more ranks, which hold nothing yet.
[[nodiscard]] Placement widened(const Placement& placement, std::size_t ranks);

/// vLLM's initial map, expert i % E in slot i, or the placement of a file.
/// @throws InputError when the file does not fit the trace and the shape.
[[nodiscard]] Placement initial_placement(Session& session, const PlanShape& shape,
                                          const TraceHeader& trace,
                                          const std::optional<std::string>& path);

}  // namespace moeshift::cli
