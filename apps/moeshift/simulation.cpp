// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/simulation.hpp"

#include <algorithm>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/core/json_reader.hpp"
#include "moeshift/core/suggest.hpp"
#include "moeshift/plan/registry.hpp"
#include "moeshift/simulate/presets.hpp"
#include "moeshift/trace/placement_format.hpp"

#include "apps/moeshift/session.hpp"

namespace moeshift::cli {
namespace {

nlohmann::ordered_json read_json(Session& session, const std::string& path) {
  return parse_json(session.read_text(path), Session::name_of_input(path));
}

ServingMachine load_serving(Session& session, const std::string& name_or_path) {
  std::string path = name_or_path;
  if (path.find('/') == std::string::npos && !path.ends_with(".json") && path != "-") {
    const std::vector<std::string> names = session.shipped("serving");
    if (std::find(names.begin(), names.end(), path) == names.end()) {
      const std::vector<std::string_view> known(names.begin(), names.end());
      throw InputError("--serving",
                       fmt::format("no serving parameters for '{}'{}; expected a file or one of {}",
                                   path, did_you_mean(path, known), fmt::join(names, ", ")));
    }
    path = session.config_path("serving", path);
  }
  const nlohmann::ordered_json document = read_json(session, path);
  return read_serving_machine(JsonReader(document, Session::name_of_input(path)));
}

void check_agreement(const MoeModel& model, const TraceHeader& trace) {
  if (model.num_layers == trace.num_layers && model.num_experts == trace.num_experts) return;
  throw InputError("--model", fmt::format("{} has {} layers x {} experts, the trace {} x {}",
                                          model.name, model.num_layers, model.num_experts,
                                          trace.num_layers, trace.num_experts));
}

/// @throws InputError unless lowest < value < highest, bounds included where they are asked for.
double in_range(const char* option, double value, double lowest, double highest) {
  if (value >= lowest && value <= highest) return value;
  throw InputError(option,
                   fmt::format("expected a number in [{}, {}], got {}", lowest, highest, value));
}

std::size_t at_least_one(const char* option, std::size_t value) {
  if (value >= 1) return value;
  throw InputError(option, "expected at least 1");
}

}  // namespace

OpenTrace::OpenTrace(Session& session, const std::string& path)
    : in_(session.open_input(path)), reader_(open_trace(*in_, Session::name_of_input(path))) {}

StepSource OpenTrace::source() {
  return [this](TraceStep& step) { return reader_->next(step); };
}

void ServingOptions::declare(Options& options) {
  options.option("--tokens-per-step", tokens_per_step,
                 "scale every recorded step to so many tokens; default: as recorded");
  options.option("--repeat", repeat, "forward passes that each recorded step stands for");
  options.option("--serving", serving,
                 "serving parameters: a name of configs/serving or a file; default: the cluster's");
  options.option("--step-time-file", step_time_file,
                 "measured step times, instead of the formulae: {\"source\", "
                 "\"step_fixed_seconds\", \"layer_seconds\": [[tokens of busiest rank, s], ...]}");
  options.option("--step-fixed", step_fixed, "seconds of a step outside of its layers");
  options.option("--overlap", overlap,
                 "share of the shorter of compute and communication that is hidden, 0 to 1");
}

std::unique_ptr<Deployment> ServingOptions::deployment(Session& session, const PlanShape& shape,
                                                       const TraceHeader& trace) const {
  if (!shape.cluster) throw InputError("--cluster", "needed to tell how long a step takes");
  if (!shape.model) throw InputError("--model", "needed to tell how long a step takes");
  const Cluster cluster = session.load_cluster(*shape.cluster);
  const MoeModel model = session.load_model(*shape.model);
  check_agreement(model, trace);
  const ServingMachine machine = load_serving(session, serving.value_or(cluster.name));
  ServingParameters parameters = serving_parameters(machine, model);
  if (step_time_file) {
    const nlohmann::ordered_json document = read_json(session, *step_time_file);
    read_measured_step_time(JsonReader(document, Session::name_of_input(*step_time_file)),
                            parameters);
  }
  if (step_fixed) parameters.step_fixed = Seconds(in_range("--step-fixed", *step_fixed, 0, 1e4));
  if (overlap) parameters.overlap = in_range("--overlap", *overlap, 0, 1);
  const std::size_t top_k = std::max<std::size_t>(trace.top_k.value_or(model.top_k), 1);
  return std::make_unique<Deployment>(Deployment{
      .model = ServingModel(parameters, cluster, cluster.topology(shape.ranks, shape.nodes), top_k),
      .cluster = cluster,
      .expert_bytes = model.expert_bytes(),
      .expert_groups = shape.groups.value_or(model.num_expert_groups)});
}

ReplayOptions ServingOptions::replay_options(Session& session) const {
  ReplayOptions options;
  if (tokens_per_step) {
    options.tokens_per_step = in_range("--tokens-per-step", *tokens_per_step, 1, 1e12);
  }
  options.repeat = at_least_one("--repeat", repeat);
  options.threads = session.threads();
  return options;
}

void LaneOptions::declare(Options& options) {
  std::vector<std::string> engines;
  for (const EnginePreset& preset : engine_presets()) engines.emplace_back(preset.name);
  options.choice("--like", like, engines, "whose defaults to start from");
  options.option(
      "--mode", mode,
      "sync, layered:N (N layers per stop), async (buffers fill beside serving), async:N "
      "(at most N commits per step), trickle:BYTES (per step)");
  options.option("--forecaster", forecaster,
                 "last, mean:H, ewma:A, samples:HxN or recentred:HxN:A over past steps");
  options.option("--interval", interval, "steps between decisions");
  options.option("--first", first, "step of the first decision; default: the interval");
  options.option("--threshold", threshold, "only when the forecast balancedness is below this");
  options.option("--hysteresis", hysteresis,
                 "only when the imbalance is this share above what the last plan promised");
  options.option("--min-gain", min_gain,
                 "a layer moves when its gain over the horizon is this many times its cost");
  options.flag("--ungated", ungated, "move whatever the policy says, without weighing it");
  options.option("--horizon", horizon, "steps over which a gain counts; default: the interval");
  options.option("--buffers", buffers, "staging buffers, in layers");
  options.option("--plan-seconds", plan_seconds, "how long the policy thinks");
  options.option("--background-share", background_share,
                 "share of every link that a fill beside serving takes");
  options.option("--dispatch", dispatch, "replica of a token: even, random or nearest");
  options.option("--replica-bias", replica_bias,
                 "0: replicas share evenly, 1: the first one takes all");
}

LaneSettings LaneOptions::settings(std::uint64_t seed) const {
  LaneSettings settings;
  settings.seed = seed;
  apply_preset(like, settings);
  if (mode) parse_mode(*mode, settings.mode);
  if (settings.mode.kind == ModeKind::kTrickle) {
    throw InputError("--mode", "trickle is not available yet");
  }
  if (forecaster) settings.forecaster = *forecaster;
  DecisionRule& rule = settings.rule;
  if (interval) rule.interval = at_least_one("--interval", *interval);
  if (interval) rule.first.reset();
  if (first) rule.first = *first;
  if (threshold) rule.min_balancedness = in_range("--threshold", *threshold, 0, 1);
  if (hysteresis) rule.hysteresis = in_range("--hysteresis", *hysteresis, 0, 1e6);
  if (min_gain) rule.min_gain_over_cost = in_range("--min-gain", *min_gain, 0, 1e9);
  if (ungated) rule.min_gain_over_cost.reset();
  if (horizon) rule.horizon = at_least_one("--horizon", *horizon);
  if (buffers) settings.mode.buffers = at_least_one("--buffers", *buffers);
  if (plan_seconds) settings.mode.plan = Seconds(in_range("--plan-seconds", *plan_seconds, 0, 1e6));
  if (background_share) {
    settings.mode.background_share = in_range("--background-share", *background_share, 0.01, 0.99);
  }
  if (dispatch) settings.dispatch.rule = parse_dispatch_rule(*dispatch);
  if (replica_bias)
    settings.dispatch.replica_bias = in_range("--replica-bias", *replica_bias, 0, 1);
  return settings;
}

Placement initial_placement(Session& session, const PlanShape& shape, const Topology& topology,
                            const TraceHeader& trace, const std::optional<std::string>& path) {
  if (!path) {
    const PlanProblem problem{.load = LoadMatrix(trace.num_layers, trace.num_experts),
                              .samples = {},
                              .topology = topology,
                              .slots = shape.slots};
    NoProgress progress;
    return make_planner("static")->plan(problem, session.threads(), progress).placement;
  }
  const std::unique_ptr<std::istream> in = session.open_input(*path);
  const PlacementHints hints{.num_experts = trace.num_experts, .num_ranks = shape.ranks};
  Placement placement = read_placement(*in, Session::name_of_input(*path), hints).placement;
  if (placement.layers() == trace.num_layers && placement.experts() == trace.num_experts &&
      placement.ranks() == shape.ranks && placement.slots() == shape.slots) {
    return placement;
  }
  throw InputError(
      Session::name_of_input(*path),
      fmt::format("expected {} layers, {} experts, {} slots and {} ranks, found {}, {}, {} and {}",
                  trace.num_layers, trace.num_experts, shape.slots, shape.ranks, placement.layers(),
                  placement.experts(), placement.slots(), placement.ranks()));
}

}  // namespace moeshift::cli
