// SPDX-License-Identifier: Apache-2.0
// moeshift plan: from a trace to a placement.
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/judge/plan_on.hpp"
#include "moeshift/plan/registry.hpp"
#include "moeshift/trace/window.hpp"

#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/inputs/planned_for.hpp"
#include "apps/moeshift/inputs/recorded_world.hpp"
#include "apps/moeshift/inputs/route_inputs.hpp"
#include "apps/moeshift/inputs/trace_inputs.hpp"
#include "apps/moeshift/plan/commands.hpp"
#include "apps/moeshift/plan/network_report.hpp"
#include "apps/moeshift/plan/plan_report.hpp"
#include "apps/moeshift/plan/plan_request.hpp"

namespace moeshift::cli {
namespace {

class Plan final : public Command {
 public:
  void declare(Options& options) override {
    trace_.declare(options);
    request_.declare_shape(options);
    options.option("--windows", windows_, "steps to plan on, as first:last (last not included)");
    options.option("--from", from_,
                   "the placement to move away from: a plan, or any format of `export`");
    options.flag("--per-layer", per_layer_, "also show a row per layer");
    routes_.declare(options);
    routes_.declare_limit(options);
    options.flag("--frontier", frontier_,
                 "also show what balance costs in copies and back, slack by slack (needs routes)");
    options.flag("--explain", explain_, "also show why each replica moved (incremental, robust)");
    declare_forecaster(options, request_.forecaster);
    options.section("world");
    options.option("--from-ranks", from_ranks_,
                   "ranks of --from, where its file does not say; default: --ranks");
    request_.declare_inactive(options);
    request_.declare_goal(options);
    trace_.declare_options(options);
  }

  ExitCode run(Session& session) override {
    session.expect({{"reading", 0.2}, {"plan layers", 0.8}});
    if (from_ranks_ && !from_) session.say("--from-ranks is not used: there is no --from");
    request_.shape = with_plan(session, request_.shape, from_, from_ranks_);
    PlannedLoads loads(request_.forecaster);
    const TraceHeader header = read_loads(session, loads);
    PlannedFor planned = read_planned_for(session, request_.shape, header);
    std::optional<Placement> old;
    if (from_) {
      old = read_placement_for(session, *from_, planned.trace, from_ranks_, request_.shape.ranks);
    }
    request_.routes =
        routes_.of(session, header, loads.sum(), request_.routes, trace_, request_.shape.model);
    request_.limit = routes_.limit(planned.expert_groups);
    MadePlan plan(session, request_, loads, std::move(planned), std::move(old));
    if (!plan.stopped()) plan.tighten(session.threads());
    report(session, plan);
    if (!plan.stopped()) return ExitCode::kGood;
    session.say("stopped: the plan is the best so far");
    return ExitCode::kInterrupted;
  }

 private:
  /// The steps of --windows, of which no more is kept than is planned on.
  TraceHeader read_loads(Session& session, PlannedLoads& loads) {
    const std::string name = trace_.name();
    const StepRange range = parse_step_range(windows_, "--windows");
    const auto reader = trace_.open(session, request_.shape.model);
    request_.shape = whole_shape(session, request_.shape, reader->header());
    std::optional<RouteSummarizer> routes;
    if (reader->has_routes()) routes = summarizer_for(reader->header());
    visit_windows(*reader, name, {&range, 1}, [&](std::size_t, const TraceStep& step) {
      loads.add(step.load);
      if (routes) routes->add(*reader->step_routes(), session.threads());
    });
    if (routes) request_.routes = std::make_shared<const RouteSummary>(std::move(*routes).take());
    if (loaded_layers(loads.sum()) == 0) {
      throw InfeasibleError(fmt::format("{}: no layer carries load in steps {}", name, windows_));
    }
    if (loads.steps_per_sample() > 1) {
      session.say(fmt::format("moeshift: {} steps are planned on as windows of {} steps each",
                              loads.steps(), loads.steps_per_sample()));
    }
    return reader->header();
  }

  void report(Session& session, const MadePlan& plan) const {
    const PlanAnswer answer = plan.answer(session);
    Report report = report_plan(answer);
    if (frontier_) add_frontier(plan.frontier(), answer.problem.topology.nodes(), report);
    if (per_layer_) report.table(layer_table(answer));
    if (explain_) explain(session, answer, report);
    session.emit(report);
  }

  /// Only a search has a reason for each move.
  void explain(Session& session, const PlanAnswer& answer, Report& report) const {
    if (answer.policy != "incremental" && answer.policy != "robust") {
      session.mention(fmt::format(
          "--explain is not used: {} gives no reasons, incremental and robust do", answer.policy));
      return;
    }
    explain_moves(answer, report);
  }

  TraceInputs trace_;
  PlanRequest request_;
  std::string windows_ = ":";
  std::optional<std::string> from_;
  std::optional<std::size_t> from_ranks_;
  RouteInputs routes_;
  bool frontier_ = false;
  bool per_layer_ = false;
  bool explain_ = false;
};

}  // namespace

std::unique_ptr<Command> make_plan() {
  return std::make_unique<Plan>();
}

}  // namespace moeshift::cli
