// SPDX-License-Identifier: Apache-2.0
// moeshift simulate: what would rebalancing have done for this traffic?
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/plan/registry.hpp"
#include "moeshift/report/chrome_trace.hpp"
#include "moeshift/simulate/timeline_recorder.hpp"
#include "moeshift/trace/window.hpp"

#include "apps/moeshift/commands/commands.hpp"
#include "apps/moeshift/session.hpp"
#include "apps/moeshift/simulation.hpp"
#include "apps/moeshift/simulation_report.hpp"

namespace moeshift::cli {
namespace {

class Simulate final : public Command {
 public:
  void declare(Options& options) override {
    options.positional("TRACE", trace_, "recorded loads; '-' is standard input");
    shape_.declare(options);
    options.option("--policy", policy_, "who plans; see `moeshift policies`");
    options.choice("--hierarchy", policy_options_.hierarchy, {"auto", "hierarchical", "global"},
                   "whether expert groups stay inside a node (deepseek, snake)");
    options.option("--initial", initial_,
                   "placement at the start; default: expert i % E in slot i");
    lane_.declare(options);
    serving_.declare(options);
    options.option("--timeline", timeline_, "write a Chrome trace of some steps to this file");
    options.option("--timeline-steps", timeline_steps_, "which steps it shows, as first:last");
  }

  ExitCode run(Session& session) override {
    OpenTrace trace(session, trace_);
    const std::unique_ptr<Deployment> deployment =
        serving_.deployment(session, shape_, trace.header());
    const Placement initial =
        initial_placement(session, shape_, deployment->topology(), trace.header(), initial_);
    const StepRange shown = parse_step_range(timeline_steps_, "--timeline-steps");
    TimelineRecorder recorder(shown.first, shown.last.value_or(shown.first + kStepsShown));
    std::vector<Lane> lanes;
    for (LaneSettings& settings : lane_settings(session)) {
      lanes.emplace_back(std::move(settings), *deployment, initial);
    }
    if (timeline_) lanes.front().observe_with(&recorder);
    std::vector<Lane*> pointers;
    for (Lane& lane : lanes) pointers.push_back(&lane);
    (void)replay(trace.source(), pointers, serving_.replay_options(session), session.progress());

    std::vector<LaneResult> results;
    for (const Lane& lane : lanes) results.push_back(lane.result());
    if (timeline_) {
      session.write_file(*timeline_,
                         [&](std::ostream& out) { write_chrome_trace(out, recorder.timeline()); });
    }
    warn(session, results.front(), lanes.front().settings());
    report(session, results, lanes.front().settings());
    return ExitCode::kGood;
  }

 private:
  static constexpr std::uint64_t kStepsShown = 200;

  /// The policy as asked for, then what it is measured by.
  [[nodiscard]] std::vector<LaneSettings> lane_settings(Session& session) const {
    LaneSettings asked = lane_.settings(session.seed());
    asked.name = policy_;
    asked.planner = make_planner(policy_, policy_options_);
    LaneSettings still = asked;
    still.name = "static";
    still.planner = nullptr;
    LaneSettings free = asked;
    free.name = policy_ + " (free moves)";
    free.price = TransferPrice::kFree;
    LaneSettings oracle = free;
    oracle.name = policy_ + " (oracle)";
    oracle.oracle = true;
    return {asked, still, free, oracle};
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

  void report(Session& session, const std::vector<LaneResult>& results,
              const LaneSettings& settings) const {
    const LaneResult& asked = results[0];
    Report report("simulate");
    nlohmann::ordered_json& result = report.result();
    result = to_json(asked);
    result["rearrangements"] = to_json(asked.rearrangements);
    result["vs_static"] = ratios(asked, results[1]);
    result["static"] = to_json(results[1]);
    result["free_moves"] = to_json(results[2]);
    result["oracle"] = to_json(results[3]);
    result["policy"] = policy_;
    result["mode"] = to_string(settings.mode);
    result["forecaster"] = settings.forecaster;
    result["interval_steps"] = settings.rule.interval;
    report.note(fmt::format(
        "{} steps of {:.0f} tokens on {} ranks; {} {}, forecast {}, every {} steps", asked.steps,
        asked.tokens / static_cast<double>(asked.steps), shape_.ranks, policy_,
        to_string(settings.mode), settings.forecaster, settings.rule.interval));
    report.table(lane_table(results, results[1]));
    if (!asked.rearrangements.empty()) report.table(rearrangement_table(asked));
    report.note(verdict(asked, results[1]));
    session.emit(report);
  }

  static std::string verdict(const LaneResult& asked, const LaneResult& still) {
    const DecisionCounts& d = asked.decisions;
    return fmt::format(
        "{:+.2f} % tokens/s against static; {} of {} decisions moved something ({} balanced, {} "
        "little worse than promised, {} would not pay, {} nothing to move)",
        (asked.tokens_per_second() / still.tokens_per_second() - 1) * 100, d.rearranged, d.due,
        d.balanced, d.hysteresis, d.too_costly, d.unchanged);
  }

  std::string trace_;
  PlanShape shape_;
  std::string policy_ = "deepseek";
  PolicyOptions policy_options_;
  std::optional<std::string> initial_;
  LaneOptions lane_;
  ServingOptions serving_;
  std::optional<std::string> timeline_;
  std::string timeline_steps_ = ":";
};

}  // namespace

std::unique_ptr<Command> make_simulate() {
  return std::make_unique<Simulate>();
}

}  // namespace moeshift::cli
