// SPDX-License-Identifier: Apache-2.0
// moeshift plan: from a trace to a placement.
#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/placement_format.hpp"
#include "moeshift/judge/plan_on.hpp"
#include "moeshift/plan/layered_planner.hpp"
#include "moeshift/plan/registry.hpp"
#include "moeshift/trace/window.hpp"

#include "apps/moeshift/cli/option_value.hpp"
#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/inputs/planned_for.hpp"
#include "apps/moeshift/inputs/trace_inputs.hpp"
#include "apps/moeshift/plan/commands.hpp"
#include "apps/moeshift/plan/deadline.hpp"
#include "apps/moeshift/plan/plan_goal.hpp"
#include "apps/moeshift/plan/plan_report.hpp"

namespace moeshift::cli {
namespace {

std::vector<std::string> policy_names() {
  std::vector<std::string> names;
  for (const PolicyEntry& policy : policies()) names.emplace_back(policy.name);
  return names;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

class Plan final : public Command {
 public:
  void declare(Options& options) override {
    trace_.declare(options);
    shape_.declare(options);
    options.choice("--policy", policy_, policy_names(), "who plans; see `moeshift policies`");
    options.option("--windows", windows_, "steps to plan on, as first:last (last not included)");
    options.option("--from", from_,
                   "the placement to move away from: a plan, or any format of `export`");
    options.flag("--per-layer", per_layer_, "also show a row per layer");
    options.flag("--explain", explain_, "also show why each replica moved (incremental, robust)");
    declare_forecaster(options, forecaster_);
    options.section("world");
    options.option("--from-ranks", from_ranks_,
                   "ranks of --from, where its file does not say; default: --ranks");
    options.list("--inactive", inactive_, "ranks that hold nothing, as 3,7");
    options.section("policy");
    declare_policy_options(options, policy_options_);
    options.section("goal");
    goal_.declare(options);
    trace_.declare_options(options);
  }

  ExitCode run(Session& session) override {
    if (from_ranks_ && !from_) session.say("--from-ranks is not used: there is no --from");
    PlannedLoads loads(forecaster_);
    const TraceHeader header = read_loads(session, loads);
    const PlannedFor planned = read_planned_for(session, shape_, header);
    PlanProblem problem{.load = {},
                        .samples = {},
                        .topology = planned.topology,
                        .slots = planned.slots,
                        .expert_groups = planned.expert_groups,
                        .seed = session.seed(),
                        .inactive = inactive_ranks(),
                        .rank_speed = planned.rank_speed};
    loads.give_to(problem);
    std::optional<Placement> old;
    if (from_) {
      old = read_placement_for(session, *from_, planned.trace, from_ranks_, shape_.ranks);
    }
    if (old) problem.old = &*old;
    sizes_ = planned.expert_sizes();
    const std::size_t steps = forecaster_ ? 1 : loads.steps();
    goal_.apply_to(policy_options_, session, planned, steps_of(problem.load, steps));
    const std::unique_ptr<Planner> planner = make_planner(policy_, policy_options_);
    PlanDeadline deadline(session.progress(), goal_.limit());
    const auto start = std::chrono::steady_clock::now();
    PlanResult plan = planner->plan(problem, session.threads(), deadline);
    const double plan_seconds = seconds_since(start);
    const bool stopped = deadline.stopped();
    const auto bounding = std::chrono::steady_clock::now();
    if (!stopped) tighten_bounds(problem, session.threads(), plan);
    report(session, loads.steps(), planned, problem, plan, {plan_seconds, seconds_since(bounding)});
    if (!stopped) return ExitCode::kGood;
    session.say("stopped: the plan is the best so far");
    return ExitCode::kInterrupted;
  }

 private:
  /// The steps of --windows, of which no more is kept than is planned on.
  TraceHeader read_loads(Session& session, PlannedLoads& loads) const {
    const std::string name = trace_.name();
    const StepRange range = parse_step_range(windows_, "--windows");
    const auto reader = trace_.open(session, shape_.model);
    visit_windows(*reader, name, {&range, 1},
                  [&](std::size_t, const TraceStep& step) { loads.add(step.load); });
    if (loaded_layers(loads.sum()) == 0) {
      throw InfeasibleError(fmt::format("{}: no layer carries load in steps {}", name, windows_));
    }
    if (loads.steps_per_sample() > 1) {
      session.say(fmt::format("moeshift: {} steps are planned on as windows of {} steps each",
                              loads.steps(), loads.steps_per_sample()));
    }
    return reader->header();
  }

  [[nodiscard]] std::vector<RankId> inactive_ranks() const {
    std::vector<RankId> ranks = parse_ranks("--inactive", inactive_);
    std::sort(ranks.begin(), ranks.end());
    return ranks;
  }

  /// Under a budget of slots: what as many slots in every layer would do, if there are enough.
  [[nodiscard]] std::optional<PlanResult> uniform_plan(Session& session,
                                                       const PlanProblem& problem) const {
    if (!policy_options_.slots_budget || session.progress().interrupted()) return {};
    const std::size_t active = problem.topology.ranks() - problem.inactive.size();
    const std::size_t per_rank = *policy_options_.slots_budget / (problem.layers() * active);
    if (per_rank * active < problem.experts()) return {};
    PolicyOptions options = policy_options_;
    options.slots_budget.reset();
    PlanProblem uniform = problem;
    uniform.slots = std::min(per_rank, problem.slots_per_rank()) * problem.topology.ranks();
    return make_planner(policy_, options)->plan(uniform, session.threads(), session.progress());
  }

  void report(Session& session, std::size_t steps, const PlannedFor& planned,
              const PlanProblem& problem, const PlanResult& plan, const PlanTimes& times) const {
    const PlanAnswer answer{.policy = policy_,
                            .steps = steps,
                            .trace = planned.trace,
                            .world = planned.world,
                            .problem = problem,
                            .plan = plan,
                            .times = times,
                            .objective = goal_.objective,
                            .goal = policy_options_.objective,
                            .dispatch = goal_.dispatch,
                            .rule = goal_.dispatch_options(session),
                            .expert_sizes = sizes_,
                            .slots_budget = policy_options_.slots_budget,
                            .uniform = uniform_plan(session, problem)};
    Report report = report_plan(answer);
    if (per_layer_) report.table(layer_table(answer));
    if (explain_) explain_moves(answer, report);
    session.emit(report);
  }

  TraceInputs trace_;
  PlanShape shape_;
  std::string policy_ = "deepseek";
  std::string windows_ = ":";
  PolicyOptions policy_options_;
  std::optional<ExpertSizes> sizes_;  ///< with --model
  std::optional<std::string> from_;
  std::optional<std::size_t> from_ranks_;
  std::vector<std::string> inactive_;
  PlanGoal goal_;
  std::optional<std::string> forecaster_;
  bool per_layer_ = false;
  bool explain_ = false;
};

}  // namespace

std::unique_ptr<Command> make_plan() {
  return std::make_unique<Plan>();
}

}  // namespace moeshift::cli
