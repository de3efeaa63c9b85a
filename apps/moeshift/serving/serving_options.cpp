// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/serving/serving_options.hpp"

#include <algorithm>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/core/json_reader.hpp"
#include "moeshift/cost/network.hpp"
#include "moeshift/plan/registry.hpp"
#include "moeshift/simulate/presets.hpp"

#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/inputs/serving_machine.hpp"
#include "apps/moeshift/plan/network_report.hpp"

namespace moeshift::cli {
namespace {

/// vLLM serves prefill in chunks of 2048 (before) to 8192 tokens per engine
/// (max_num_batched_tokens), SGLang of 8192 (chunked_prefill_size): more than that is no forward
/// pass.
constexpr double kMostTokensPerRank = 8192;

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

OpenTrace::OpenTrace(Session& session, const TraceInputs& trace,
                     const std::optional<std::string>& model, Reading reading)
    : reader_(trace.open(session, model, reading)),
      again_(reading == Reading::kSeveralTimes || trace.name() != Session::name_of_input("-")) {}

bool OpenTrace::has_routes() const {
  return again_ && reader_->has_routes();
}

StepSource OpenTrace::source() {
  return [this](TraceStep& step) { return reader_->next(step); };
}

void ServingOptions::declare(Options& options) {
  options.option("--tokens-per-step", tokens_per_step,
                 "scale every recorded step to so many tokens; default: as recorded, cut into "
                 "forward passes of at most 8192 tokens per rank");
  options.option("--repeat", repeat,
                 "forward passes that each recorded step stands for; they share its tokens unless "
                 "--tokens-per-step says otherwise");
  options.option("--serving", serving,
                 "serving parameters: a name of configs/serving or a file; default: the cluster's");
  options.option("--step-time-file", step_time_file,
                 "measured step times, instead of the formulae: {\"source\", "
                 "\"step_fixed_seconds\", \"layer_seconds\": [[tokens of busiest rank, s], ...]}");
  options.option("--step-fixed", step_fixed, "seconds of a step outside of its layers");
  options.option("--overlap", overlap,
                 "share of the shorter of compute and communication that is hidden, 0 to 1");
}

std::unique_ptr<Deployment> ServingOptions::deployment(Session& session,
                                                       const PlannedFor& planned) const {
  planned.need_machine_and_model(planned.cluster ? "--model" : "--cluster",
                                 "needed to tell how long a step takes");
  ServingParameters parameters = read_serving(session, planned, serving);
  if (step_time_file) {
    read_measured_step_time(
        JsonReader(session.document(*step_time_file), Session::name_of_input(*step_time_file)),
        parameters);
  }
  if (step_fixed) parameters.step_fixed = Seconds(in_range("--step-fixed", *step_fixed, 0, 1e4));
  if (overlap) parameters.overlap = in_range("--overlap", *overlap, 0, 1);
  return std::make_unique<Deployment>(
      Deployment{.model = ServingModel(parameters, *planned.cluster, planned.topology,
                                       planned.top_k(), planned.rank_speed),
                 .cluster = *planned.cluster,
                 .expert_sizes = *planned.expert_sizes(),
                 .expert_groups = planned.expert_groups});
}

ReplayOptions ServingOptions::replay_options(Session& session) const {
  ReplayOptions options;
  if (tokens_per_step) {
    options.tokens_per_step = in_range("--tokens-per-step", *tokens_per_step, 1, 1e12);
  }
  options.repeat = at_least_one("--repeat", repeat);
  options.most_tokens_per_rank = kMostTokensPerRank;
  options.threads = session.threads();
  return options;
}

std::vector<std::pair<std::string, std::shared_ptr<const Planner>>> objective_planners(
    const Deployment& deployment, double tokens_per_step, const std::string& policy,
    PolicyOptions options) {
  const ServingParameters& serves = deployment.model.parameters();
  Objective objective{.top_k = static_cast<double>(deployment.model.top_k()),
                      .tokens_per_step = tokens_per_step};
  std::vector<std::pair<std::string, std::shared_ptr<const Planner>>> planners;
  const auto add = [&](const char* name, double per_token, double per_active) {
    objective.per_token = per_token;
    objective.per_active = per_active;
    options.objective = objective;
    planners.emplace_back(name, make_planner(policy, options));
  };
  add("tokens", 1, 0);
  add("activated", 0, 1);
  add("seconds", serves.expert_per_token.count(), serves.expert_floor.count());
  return planners;
}

void LaneOptions::declare(Options& options) {
  options.section("rebalancing");
  std::vector<std::string> engines;
  for (const EnginePreset& preset : engine_presets()) engines.emplace_back(preset.name);
  options.choice("--like", like, engines, "whose defaults to start from");
  options.option(
      "--mode", mode,
      "sync, layered:N (N layers per stop), async (layers are staged beside serving), async:N "
      "(at most N commits per step), trickle:BYTES (no events: at most so many bytes per step)");
  options.option("--forecaster", forecaster,
                 "last, mean:H, ewma:A, samples:HxN or recentred:HxN:A over past steps, A may be "
                 "auto; default: mean:1000, for robust recentred:16xINTERVAL:auto");
  options.option("--interval", interval,
                 "steps between decisions (trickle: in which every layer is looked at once)");
  options.option("--first", first,
                 "step of the first decision; default: the interval (vllm: a quarter of it)");
  options.option("--threshold", threshold,
                 "only when the balancedness is below this: of the forecast (sglang: mean of the "
                 "last 1000 steps)");
  options.option("--hysteresis", hysteresis,
                 "only when the imbalance is this share above what the last plan promised");
  options.option("--gain-over-cost", gain_over_cost,
                 "a layer moves when its gain over the horizon is this many times its cost");
  options.flag("--ungated", ungated, "move whatever the policy says, without weighing it");
  options.option("--horizon", horizon, "steps over which a gain counts; default: the interval");
  options.option("--buffers", buffers, "staging buffers, in layers");
  options.option("--plan-seconds", plan_seconds, "how long the policy thinks");
  options.option("--background-share", background_share,
                 "share of every link that staging beside serving takes");
  options.option(
      "--dispatch", dispatch,
      "how tokens choose a replica: even, nearest, random, lp or visited (needs routes)");
  route_inputs.declare(options);
  options.option("--replica-bias", replica_bias,
                 "0: replicas share evenly, 1: the first one takes all");
  options.section("messages");
  limits.declare(options);
}

LaneSettings LaneOptions::settings(std::uint64_t seed, const std::string& policy) const {
  LaneSettings settings;
  settings.seed = seed;
  apply_preset(like, settings);
  if (mode) parse_mode(*mode, settings.mode);
  if (forecaster) settings.forecaster = *forecaster;
  DecisionRule& rule = settings.rule;
  if (interval) {
    // vLLM counts from three quarters of whatever the interval is.
    if (rule.first)
      rule.first = std::max<std::uint64_t>(1, *interval * *rule.first / rule.interval);
    rule.interval = at_least_one("--interval", *interval);
  }
  if (!forecaster && like == "moeshift") {
    settings.forecaster = usual_forecaster(policy, rule.interval, settings.forecaster);
  }
  if (first) rule.first = *first;
  if (threshold) rule.min_balancedness = in_range("--threshold", *threshold, 0, 1);
  if (hysteresis) rule.hysteresis = in_range("--hysteresis", *hysteresis, 0, 1e6);
  if (gain_over_cost)
    rule.min_gain_over_cost = in_range("--gain-over-cost", *gain_over_cost, 0, 1e9);
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
  settings.dispatch.routes = known.get();
  if (plans_with_routes()) settings.routes = routes.get();
  return settings;
}

void LaneOptions::read_routes(Session& session, const TraceInputs& trace,
                              const std::optional<std::string>& model, const OpenTrace& opened) {
  if (opened.has_routes() || route_inputs.given()) {
    routes = route_inputs.of_trace(session, opened.header(), trace, model);
  }
  known = known_routes(routes.get());
  if (dispatch == "visited" && !routes) {
    throw InputError("--dispatch",
                     "visited depends on which experts tokens choose together; expected --routes, "
                     "or a trace of tokens");
  }
}

nlohmann::ordered_json LaneOptions::network_json(Session& session, const Deployment& deployment,
                                                 const Placement& before,
                                                 const Placement& after) const {
  if (!routes) return {};
  NetworkQuestion question{.top_k = routes->top_k, .serving = &deployment.model, .steps = 0};
  question.dispatch = settings(session.seed()).dispatch;
  for (const RouteWindow& window : routes->windows) {
    question.steps += static_cast<double>(window.steps);
  }
  const auto of = [&](const Placement& placement) {
    return to_json(network_figures(loads_of(*routes), placement, deployment.topology(), question,
                                   session.threads()));
  };
  return {{"before", of(before)}, {"after", of(after)}};
}

std::vector<std::string> LaneOptions::unused(const std::string& policy) const {
  if (ungated && gain_over_cost) {
    throw InputError("--ungated",
                     "moves whatever the policy says, --gain-over-cost weighs it: "
                     "expected one of them");
  }
  std::vector<std::string> lines;
  if (policy == "static") {
    const std::initializer_list<std::pair<bool, const char*>> all = {
        {mode.has_value(), "--mode"},
        {forecaster.has_value(), "--forecaster"},
        {interval.has_value(), "--interval"},
        {first.has_value(), "--first"},
        {threshold.has_value(), "--threshold"},
        {hysteresis.has_value(), "--hysteresis"},
        {gain_over_cost.has_value(), "--gain-over-cost"},
        {ungated, "--ungated"},
        {horizon.has_value(), "--horizon"},
        {plan_seconds.has_value(), "--plan-seconds"}};
    for (const auto& [given, option] : all) {
      if (given) lines.push_back(fmt::format("{} is not used: static never moves", option));
    }
    return lines;
  }
  const LaneSettings settings = this->settings(0, policy);
  if (horizon && !settings.rule.min_gain_over_cost) {
    lines.emplace_back("--horizon is not used: nothing is weighed without --gain-over-cost");
  }
  const ModeKind kind = settings.mode.kind;
  const bool beside = kind == ModeKind::kAsync || kind == ModeKind::kTrickle;
  if (background_share && !beside) {
    lines.emplace_back(
        "--background-share is not used: only --mode async and trickle stage "
        "beside serving");
  }
  return lines;
}

ScheduleOptions LaneOptions::schedule(const Cluster& cluster) const {
  return limits.apply_to(options_for(cluster), cluster);
}

void WorldOptions::declare(Options& options) {
  options.list("--fail-rank", failures,
               "RANK@STEP: it fails with all it holds; the policy may plan anew on the others");
  options.list("--resize", resizes,
               "RANKS@STEP: grow or shrink to so many ranks, with as many slots on each; the world "
               "stops for it");
  options.option("--reload-rate", reload_rate,
                 "bytes per second at which a rank reads experts that nobody holds any more; "
                 "default: losing one is an error");
}

std::vector<WorldEvent> WorldOptions::events() const {
  const auto naming = [](const char* option, const std::string& spec, auto parse) {
    try {
      return parse(spec);
    } catch (const InputError& error) {
      throw InputError(option, error.what());
    }
  };
  std::vector<WorldEvent> events;
  for (const std::string& spec : failures) {
    events.push_back(naming("--fail-rank", spec, parse_failure));
  }
  for (const std::string& spec : resizes) {
    events.push_back(naming("--resize", spec, parse_resize));
  }
  std::stable_sort(events.begin(), events.end(),
                   [](const WorldEvent& a, const WorldEvent& b) { return a.step < b.step; });
  return events;
}

PlanShape WorldOptions::largest(const PlanShape& shape) const {
  PlanShape largest = shape;
  if (shape.ranks == 0) return largest;
  for (const WorldEvent& event : events()) largest.ranks = std::max(largest.ranks, event.ranks);
  largest.slots = shape.slots / shape.ranks * largest.ranks;
  if (shape.nodes && largest.ranks > shape.ranks && *shape.nodes >= 1) {
    const std::size_t per_node = (shape.ranks + *shape.nodes - 1) / *shape.nodes;
    largest.nodes = (largest.ranks + per_node - 1) / per_node;
  }
  return largest;
}

std::vector<std::string> WorldOptions::unused() const {
  if (!reload_rate || !failures.empty() || !resizes.empty()) return {};
  return {"--reload-rate is not used: no rank fails or leaves"};
}

void WorldOptions::apply(LaneSettings& settings) const {
  settings.events = events();
  if (!reload_rate) return;
  if (reload_rate->count() < 1) throw InputError("--reload-rate", "expected at least 1 byte/s");
  settings.reload = BytesPerSecond(static_cast<double>(reload_rate->count()));
}

std::unique_ptr<Planner> lane_planner(const std::string& policy, PolicyOptions options,
                                      const ModeOptions& mode, Bytes expert_bytes) {
  options.expert_bytes = expert_bytes;
  if (mode.kind == ModeKind::kTrickle) {
    if (policy != "incremental" && policy != "robust") {
      throw InputError("--policy", fmt::format("{} plans everything afresh, trickle moves a few "
                                               "experts at a time: use incremental or robust",
                                               policy));
    }
    options.budget = std::max(mode.trickle_bytes, expert_bytes * 2);
  }
  return make_planner(policy, options);
}

Placement widened(const Placement& placement, std::size_t ranks) {
  IdMatrix<LayerId, SlotId, ExpertId> slots(placement.layers(), placement.slots_per_rank() * ranks,
                                            ExpertId::none());
  for (const LayerId layer : slots.row_ids()) {
    const auto held = placement.layer(layer);
    std::copy(held.begin(), held.end(), slots.row(layer).begin());
  }
  return {placement.experts(), ranks, std::move(slots)};
}

Placement initial_placement(Session& session, const PlanShape& shape, const TraceHeader& trace,
                            const std::optional<std::string>& path) {
  if (!path) {
    const PlanProblem problem{.load = LoadMatrix(trace.num_layers, trace.num_experts),
                              .samples = {},
                              .topology = Topology(shape.ranks, 1),
                              .slots = shape.slots};
    NoProgress progress;
    return make_planner("static")->plan(problem, session.threads(), progress).placement;
  }
  Placement placement = read_placement_for(session, *path, trace, shape.ranks);
  if (placement.ranks() == shape.ranks && placement.slots() == shape.slots) return placement;
  throw InputError(Session::name_of_input(*path),
                   fmt::format("expected {} slots and {} ranks, found {} and {}", shape.slots,
                               shape.ranks, placement.slots(), placement.ranks()));
}

}  // namespace moeshift::cli
