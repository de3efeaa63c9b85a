// SPDX-License-Identifier: Apache-2.0
// moeshift simulate: what would rebalancing have done for this traffic?
#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/number_text.hpp"
#include "moeshift/plan/registry.hpp"
#include "moeshift/report/chrome_trace.hpp"
#include "moeshift/simulate/timeline_recorder.hpp"
#include "moeshift/trace/window.hpp"

#include "apps/moeshift/cli/except_options.hpp"
#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/inputs/recorded_world.hpp"
#include "apps/moeshift/plan/plan_goal.hpp"
#include "apps/moeshift/serving/commands.hpp"
#include "apps/moeshift/serving/serving_options.hpp"
#include "apps/moeshift/serving/serving_page.hpp"
#include "apps/moeshift/serving/simulate_report.hpp"

namespace moeshift::cli {
namespace {

/// A lane tells one observer; this one tells two.
class BothObservers final : public StepObserver {
 public:
  BothObservers(StepObserver& a, StepObserver& b) : a_(a), b_(b) {}

  void served(const ServedStep& step, const LoadMatrix& load,
              const std::vector<LayerDispatch>& dispatch, const ServingModel& model) override {
    a_.served(step, load, dispatch, model);
    b_.served(step, load, dispatch, model);
  }

 private:
  StepObserver& a_;
  StepObserver& b_;
};

class Simulate final : public Command {
 public:
  void declare(Options& options) override {
    trace_.declare(options);
    shape_.declare(options);
    options.option(
        "--policy", policy_,
        "who plans; see `moeshift policies`; default: incremental (like vllm: vllm, like "
        "sglang: deepseek)");
    options.option("--initial", initial_,
                   "placement at the start; default: expert i % E in slot i");
    options.option("--timeline", timeline_, "write a Chrome trace of some steps to this file");
    options.option("--timeline-steps", timeline_steps_, "which steps it shows, as first:last");
    lane_.declare(options);
    options.section("serving");
    serving_.declare(options);
    options.section("policy");
    declare_policy_options(options, policy_options_, goal_.price_steps);
    options.section("goal");
    ExceptOptions goal(options, declared_with_serving());
    goal_.declare(goal);
    options.section("failures");
    world_.declare(options);
    trace_.declare_options(options);
  }

  ExitCode run(Session& session) override {
    say_unused(session);
    shape_ = with_plan(session, shape_, initial_);
    OpenTrace trace(session, trace_, shape_.model);
    shape_ = whole_shape(session, shape_, trace.header());
    const PlanShape largest = world_.largest(shape_);
    const PlannedFor planned = read_planned_for(session, shape_, trace.header());
    const std::unique_ptr<Deployment> deployment =
        serving_.deployment(session, read_planned_for(session, largest, trace.header()));
    lane_.read_routes(session, trace_, shape_.model, trace);
    const Placement initial =
        widened(initial_placement(session, shape_, planned.trace, initial_), largest.ranks);
    goal_.of_replay(serving_.tokens_per_step, serving_.serving)
        .apply_to(policy_options_, session, planned, {}, lane_.plans_with_routes());
    const StepRange shown = parse_step_range(timeline_steps_, "--timeline-steps");
    TimelineRecorder recorder(shown.first, shown.last.value_or(shown.first + kStepsShown));
    std::deque<Lane> lanes;
    for (LaneSettings& settings : lane_settings(session, *deployment)) {
      lanes.emplace_back(std::move(settings), *deployment, initial);
    }
    std::vector<StepBlocks> blocks(lanes.size());
    std::deque<BlockRecorder> watchers;
    for (std::size_t i = 0; i < lanes.size(); ++i) {
      lanes[i].observe_with(&watchers.emplace_back(blocks[i]));
    }
    BothObservers first(watchers.front(), recorder);
    if (timeline_) lanes.front().observe_with(&first);
    std::vector<Lane*> pointers;
    for (Lane& lane : lanes) pointers.push_back(&lane);
    session.expect({{"steps", 1}});
    ReplayOptions how = serving_.replay_options(session);
    how.recorded_steps = trace_.count_steps(session, shape_.model);
    const std::uint64_t recorded = replay(trace.source(), pointers, how, session.progress());

    std::vector<LaneResult> results;
    for (const Lane& lane : lanes) results.push_back(lane.result());
    results.resize(kLanes, results.front());
    if (timeline_) {
      session.write_file(*timeline_,
                         [&](std::ostream& out) { write_chrome_trace(out, recorder.timeline()); });
    }
    warn(session, results.front(), lanes.front().settings());
    warn_of_interval(session, results.front(), lanes.front().settings(), recorded);
    warn_of_cut(session, results.front(), recorded);
    const auto network =
        lane_.network_json(session, *deployment, initial, lanes.front().placement());
    report(session, results, blocks, lanes.front().settings(), network);
    return ExitCode::kGood;
  }

 private:
  void say_unused(Session& session) const {
    static_cast<void>(parse_step_range(timeline_steps_, "--timeline-steps"));
    if (!timeline_ && timeline_steps_ != kAllSteps) {
      session.mention("--timeline-steps is not used: there is no --timeline");
    }
    const std::string policy = policy_name();
    check_policy_options(session, {&policy, 1}, policy_options_);
    for (const std::string& line : lane_.unused(policy)) session.mention(line);
    for (const std::string& line : world_.unused()) session.mention(line);
  }

  static constexpr const char* kAllSteps = ":";
  static constexpr std::uint64_t kStepsShown = 200;
  static constexpr std::size_t kLanes = 4;

  /// The policy as asked for, then what it is measured by.
  [[nodiscard]] std::vector<LaneSettings> lane_settings(Session& session,
                                                        const Deployment& deployment) const {
    const std::string policy = policy_name();
    LaneSettings asked = lane_.settings(session.seed(), policy);
    asked.schedule = lane_.schedule(deployment.cluster);
    world_.apply(asked);
    asked.name = policy;
    if (policy == "static") return {asked};  // what it would be compared with is the same
    const Bytes bytes = deployment.expert_sizes.largest();
    asked.planner = goal_.limited(lane_planner(policy, policy_options_, asked.mode, bytes));
    LaneSettings still = asked;
    still.name = "static";
    still.planner = nullptr;
    LaneSettings free = asked;
    free.name = "free moves";
    free.price = TransferPrice::kFree;
    LaneSettings oracle = free;
    oracle.name = "oracle";
    oracle.oracle = true;
    oracle.planner = goal_.limited(lane_planner(policy, policy_options_, {}, bytes));
    return {asked, still, free, oracle};
  }

  [[nodiscard]] std::string policy_name() const {
    if (policy_) return *policy_;
    if (lane_.like == "vllm") return "vllm";
    return lane_.like == "sglang" ? "deepseek" : "incremental";
  }

  void warn_of_cut(Session& session, const LaneResult& result, std::uint64_t recorded) const {
    const double passes = static_cast<double>(result.steps) / static_cast<double>(recorded);
    if (serving_.tokens_per_step || passes <= static_cast<double>(serving_.repeat)) return;
    session.warn(fmt::format(
        "a recorded step holds {:.0f} tokens, which is no forward pass: each is served as {:.1f} "
        "passes of {:.0f} tokens per rank; say otherwise by --tokens-per-step and --repeat",
        result.tokens / static_cast<double>(recorded), passes,
        result.tokens / static_cast<double>(result.steps * shape_.ranks)));
  }

  static void warn(Session& session, const LaneResult& result, const LaneSettings& settings) {
    if (result.longest_rearrangement_steps <= settings.rule.interval &&
        result.decisions.postponed == 0) {
      return;
    }
    session.warn(fmt::format(
        "a rearrangement takes up to {} steps, the interval is {}: it is never idle, {} decisions "
        "had to wait; use a longer interval, fewer layers or more commits per step",
        result.longest_rearrangement_steps, settings.rule.interval, result.decisions.postponed));
  }

  /// A policy that never decided has not been tried.
  static void warn_of_interval(Session& session, const LaneResult& result,
                               const LaneSettings& settings, std::uint64_t recorded) {
    if (settings.planner == nullptr) return;
    const std::uint64_t first = settings.rule.first.value_or(settings.rule.interval);
    const std::uint64_t passes = result.steps / std::max<std::uint64_t>(recorded, 1);
    if (result.decisions.due == 0 && first >= result.steps) {
      session.warn(fmt::format(
          "the first decision is due at step {}, the trace is served in {} steps: nothing was "
          "decided, and this is `static`; use a shorter --interval or --first",
          first, result.steps));
    } else if (result.decisions.due == 0) {
      session.warn(
          fmt::format("forecast {} saw too little to plan on: nothing was decided, and "
                      "this is `static`; a recorded step is seen when it is over",
                      settings.forecaster));
    } else if (passes > settings.rule.interval) {
      session.warn(fmt::format(
          "a recorded step stands for {} passes, the interval is {}: a policy sees a recording "
          "when "
          "it is over, so that most decisions find nothing new; use an interval of {} or more",
          passes, settings.rule.interval, passes));
    }
  }

  void report(Session& session, const std::vector<LaneResult>& results,
              const std::vector<StepBlocks>& blocks, const LaneSettings& settings,
              const nlohmann::ordered_json& network) const {
    const LaneResult& asked = results[0];
    Report report("simulate", "What rebalancing would have done");
    nlohmann::ordered_json& result = report.result();
    result = to_json(asked);
    result["rearrangements"] = to_json(asked.rearrangements);
    result["vs_static"] = ratios(asked, results[1]);
    result["static"] = to_json(results[1]);
    result["free_moves"] = to_json(results[2]);
    result["oracle"] = to_json(results[3]);
    result["policy"] = asked.name;
    result["mode"] = to_string(settings.mode);
    result["forecaster"] = settings.forecaster;
    result["interval_steps"] = settings.rule.interval;
    if (!network.is_null()) result["network"] = network;
    report.note(fmt::format(
        "{} of {} on {}; {} {}, forecast {}, every {}", counted(asked.steps, "step"),
        counted(asked.tokens_per_step(), "token"), counted(shape_.ranks, "rank"), asked.name,
        to_string(settings.mode), settings.forecaster,
        settings.rule.interval == 1 ? "step" : counted(settings.rule.interval, "step")));
    std::vector<LaneResult> shown = results;
    if (asked.name == "static") shown.resize(1);
    report.table(lane_table(shown, results[1]));
    if (const Table moves = move_table(shown); !moves.rows.empty()) report.table(moves);
    if (!asked.rearrangements.empty()) report.table(rearrangement_table(asked));
    if (!asked.events.empty()) report.table(event_table(asked));
    const bool faster = asked.tokens_per_second() > results[1].tokens_per_second();
    if (!network.is_null()) {
      report.note(fmt::format("copies per token: {:.3f} at the start, {:.3f} at the end",
                              network["before"]["copies_per_token"].get<double>(),
                              network["after"]["copies_per_token"].get<double>()));
    }
    report.add(Conclusion{verdict(asked, results[1]), faster ? Tone::kGood : Tone::kPlain, {}});
    add_simulate_page(shown, blocks, report);
    session.emit(report);
  }

  static std::string verdict(const LaneResult& asked, const LaneResult& still) {
    const DecisionCounts& d = asked.decisions;
    if (asked.name != "static" && d.due == 0) {
      return fmt::format("no decision was due within {}: this is static",
                         counted(asked.steps, "step"));
    }
    return fmt::format(
        "{} % tokens/s against static; {} of {} decisions moved something ({} balanced, {} "
        "little worse than promised, {} would not pay, {} nothing to move)",
        fixed_with_sign((asked.tokens_per_second() / still.tokens_per_second() - 1) * 100, 2),
        d.rearranged, d.due, d.balanced, d.hysteresis, d.too_costly, d.unchanged);
  }

  TraceInputs trace_;
  PlanShape shape_;
  std::optional<std::string> policy_;
  PolicyOptions policy_options_;
  PlanGoal goal_;
  std::optional<std::string> initial_;
  LaneOptions lane_;
  WorldOptions world_;
  ServingOptions serving_;
  std::optional<std::string> timeline_;
  std::string timeline_steps_ = ":";
};

}  // namespace

std::unique_ptr<Command> make_simulate() {
  return std::make_unique<Simulate>();
}

}  // namespace moeshift::cli
