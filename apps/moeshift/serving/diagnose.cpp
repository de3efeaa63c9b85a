// SPDX-License-Identifier: Apache-2.0
// moeshift diagnose: is rebalancing worth it on this traffic?
#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <string>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/plan/registry.hpp"
#include "moeshift/simulate/single_recording.hpp"

#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/inputs/recorded_world.hpp"
#include "apps/moeshift/serving/commands.hpp"
#include "apps/moeshift/serving/diagnose_report.hpp"
#include "apps/moeshift/serving/serving_options.hpp"

namespace moeshift::cli {
namespace {

class Diagnose final : public Command {
 public:
  void declare(Options& options) override {
    trace_.declare(options);
    shape_.declare(options);
    options.option("--policy", policy_, "who plans in the backtest; see `moeshift policies`");
    options.option("--mode", mode_, "how moves share the machine with serving; as `simulate`");
    options.option(
        "--initial", initial_,
        "placement at the start, and of never rebalancing; default: expert i in slot i, no "
        "redundancy");
    options.option("--worthwhile", worthwhile_,
                   "share of the step time that rebalancing must save to be advised");
    options.option(
        "--balanced", balanced_,
        "balancedness without rebalancing from which on the ranks are called balanced: a "
        "reason, the measured saving is the judge");
    options.section("serving");
    serving_.declare(options);
    routes_.declare(options);
    trace_.declare_options(options);
  }

  ExitCode run(Session& session) override {
    if (worthwhile_ < 0 || worthwhile_ >= 1) {
      throw InputError("--worthwhile", "expected a share in [0, 1)");
    }
    if (balanced_ <= 0 || balanced_ > 1) {
      throw InputError("--balanced", "expected a share in (0, 1]");
    }
    shape_ = with_plan(session, shape_, initial_);
    session.expect({{"reading", 0.02}, {"plan layers", 0.03}, {"steps", 0.95}});
    Findings findings;
    const std::unique_ptr<Deployment> deployment = observe(session, findings);
    choose_passes(session, findings, *deployment);
    const Placement without = placement_without(session, findings);
    look_at_layers(session, *deployment, without, findings);
    look_at_network(session, *deployment, without, findings);
    const DiagnosisOptions options{
        .worthwhile = worthwhile_, .balanced = balanced_, .seed = session.seed()};
    if (findings.statistics.num_steps < kFewestSteps) {
      judge_recording(session, *deployment, without, options, findings);
    } else {
      run_backtest(session, *deployment, without, findings);
      findings.diagnosis = diagnose(findings.lanes, options);
    }
    session.emit(diagnosis_report(findings));
    return ExitCode::kGood;
  }

 private:
  static constexpr std::size_t kFewestSteps = 3;  ///< of which one is for planning
  static constexpr double kLargestPass = 16384;   ///< tokens per rank that one pass may hold
  static constexpr double kUsualPass = 8192;
  static constexpr double kUsualDecode = 256;  ///< where the recording says that it is decode

  /// Reads the whole trace; the machine first, so that a bad option is told at once.
  std::unique_ptr<Deployment> observe(Session& session, Findings& findings) {
    OpenTrace trace(session, trace_, shape_.model, Reading::kSeveralTimes);
    shape_ = whole_shape(session, shape_, trace.header());
    const PlannedFor planned = read_planned_for(session, shape_, trace.header());
    findings.header = planned.trace;
    std::unique_ptr<Deployment> deployment = serving_.deployment(session, planned);
    if (trace.has_routes() || routes_.given()) {
      known_ = known_routes(routes_.of_trace(session, trace.header(), trace_, shape_.model).get());
    }
    TraceObserver observer(findings.header);
    DriftObserver drift(findings.header.num_layers, findings.header.num_experts);
    const StepSource source = trace.source();
    TraceStep step;
    while (source(step)) {
      observer.add(step);
      drift.add(step.load);
    }
    findings.statistics = observer.finish();
    findings.drift = drift.finish();
    return deployment;
  }

  /// Without rebalancing nobody sets slots aside for it.
  [[nodiscard]] Placement placement_without(Session& session, const Findings& findings) const {
    PlanShape shape = shape_;
    if (!initial_) {
      shape.slots = (findings.header.num_experts + shape.ranks - 1) / shape.ranks * shape.ranks;
    }
    return initial_placement(session, shape, findings.header, initial_);
  }

  /// A recorded step that no forward pass could hold stands for several.
  void choose_passes(Session& session, Findings& findings, const Deployment& deployment) {
    const auto ranks = static_cast<double>(shape_.ranks);
    const auto top_k = static_cast<double>(deployment.model.top_k());
    double pairs = 0;
    for (const LayerStatistics& layer : findings.statistics.layers) pairs += layer.tokens;
    const double tokens = pairs / top_k / static_cast<double>(findings.statistics.layers.size()) /
                          static_cast<double>(findings.statistics.num_steps);
    findings.phase = guess_phase(findings.header, tokens, findings.drift);
    const bool decode = findings.phase.stated && findings.phase.phase == TrafficPhase::kDecode;
    const double usual = decode ? kUsualDecode : kUsualPass;
    const double stated = tokens / static_cast<double>(std::max<std::size_t>(serving_.repeat, 1));
    if (!serving_.tokens_per_step && stated > kLargestPass * ranks) {
      serving_.repeat = static_cast<std::size_t>(std::ceil(tokens / (usual * ranks)));
      session.warn(fmt::format(
          "a recorded step holds {:.0f} tokens, which is no forward pass: it is taken for {} "
          "passes "
          "of {:.0f} tokens per rank; say otherwise by --tokens-per-step and --repeat",
          tokens, serving_.repeat, tokens / static_cast<double>(serving_.repeat) / ranks));
    }
    if (!serving_.tokens_per_step && serving_.repeat > 1) {
      serving_.tokens_per_step = tokens / static_cast<double>(serving_.repeat);
    }
    findings.repeat = serving_.repeat;
    findings.tokens_per_pass = serving_.tokens_per_step.value_or(tokens);
    findings.ranks = shape_.ranks;
    findings.nodes = deployment.topology().nodes();
    findings.slots = shape_.slots;
    findings.policy = policy_;
    findings.noise_floor = noise_floor(shape_.ranks, findings.tokens_per_pass * top_k / ranks);
  }

  static LoadMatrix whole_load(const Findings& findings) {
    LoadMatrix load(findings.header.num_layers, findings.header.num_experts);
    for (const LayerId layer : load.row_ids()) {
      const auto& experts = findings.statistics.layers[layer.index()].expert_load;
      std::copy(experts.begin(), experts.end(), load.row(layer).begin());
    }
    return load;
  }

  /// Only where tokens are known: an estimate would go into no verdict.
  void look_at_network(Session& session, const Deployment& deployment, const Placement& without,
                       Findings& findings) const {
    if (!known_) return;
    NetworkQuestion question{.top_k = known_->top_k,
                             .dispatch = {.routes = known_.get()},
                             .limit = {},
                             .serving = &deployment.model,
                             .tokens_per_step = findings.tokens_per_pass};
    findings.network = network_figures(whole_load(findings), without, deployment.topology(),
                                       question, session.threads());
  }

  void look_at_layers(Session& session, const Deployment& deployment, const Placement& without,
                      Findings& findings) const {
    findings.layers =
        layer_outlooks(whole_load(findings), without, shape_.slots, deployment.topology(),
                       deployment.expert_groups, *make_planner("balanced"), session.threads(),
                       session.progress(), deployment.model.rank_speed());
  }

  void run_backtest(Session& session, const Deployment& deployment, const Placement& without,
                    Findings& findings) const {
    BacktestOptions options;
    PolicyOptions policy;
    policy.expert_bytes = deployment.expert_sizes.largest();
    options.planner = make_planner(policy_, policy);
    options.policy = policy_;
    options.objectives = objective_planners(deployment, findings.tokens_per_pass);
    options.mode.plan = Seconds(0.01);
    options.dispatch.routes = known_.get();
    if (mode_) parse_mode(*mode_, options.mode);
    const std::uint64_t recorded = findings.statistics.num_steps;
    options.warm_up = std::max<std::uint64_t>(recorded / 8, 1) * serving_.repeat;
    options.intervals = backtest_intervals(recorded, serving_.repeat);
    options.seed = session.seed();
    findings.warm_up = options.warm_up;
    findings.mode = to_string(options.mode);
    const Placement initial =
        initial_ ? without : initial_placement(session, shape_, findings.header, {});
    OpenTrace trace(session, trace_, shape_.model, Reading::kSeveralTimes);
    findings.lanes = backtest(trace.source(), deployment, without, initial, options,
                              replay_options(session, recorded), session.progress());
  }

  /// Passes are settled; none is cut behind the back of intervals and windows.
  [[nodiscard]] ReplayOptions replay_options(Session& session, std::uint64_t recorded) const {
    ReplayOptions options = serving_.replay_options(session);
    options.recorded_steps = recorded;
    options.most_tokens_per_rank.reset();
    return options;
  }

  void judge_recording(Session& session, const Deployment& deployment, const Placement& without,
                       const DiagnosisOptions& options, Findings& findings) const {
    const LoadMatrix load = whole_load(findings);
    const RecordingQuestion question{
        .load = load,
        .without = without,
        .slots = shape_.slots,
        .pairs_per_step = findings.tokens_per_pass * static_cast<double>(deployment.model.top_k()),
        .dispatch = {.routes = known_.get()}};
    findings.diagnosis = diagnose_recording(question, deployment, *make_planner("balanced"),
                                            options, session.threads(), session.progress());
    session.warn(fmt::format(
        "the trace has {} recorded step{}: it is judged as one recording, without a backtest",
        findings.statistics.num_steps, findings.statistics.num_steps == 1 ? "" : "s"));
  }

  TraceInputs trace_;
  PlanShape shape_;
  std::string policy_ = "incremental";
  std::optional<std::string> mode_;
  std::optional<std::string> initial_;
  double worthwhile_ = 0.03;
  double balanced_ = 0.9;
  RouteInputs routes_;
  std::shared_ptr<const KnownRoutes> known_;
  ServingOptions serving_;
};

}  // namespace

std::unique_ptr<Command> make_diagnose() {
  return std::make_unique<Diagnose>();
}

}  // namespace moeshift::cli
