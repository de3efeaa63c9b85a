// SPDX-License-Identifier: Apache-2.0
// moeshift sweep: which policy, how many redundant experts, which interval?
#include "moeshift/simulate/sweep.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/core/number_text.hpp"
#include "moeshift/forecast/forecaster.hpp"
#include "moeshift/plan/registry.hpp"
#include "moeshift/simulate/objectives.hpp"

#include "apps/moeshift/cli/except_options.hpp"
#include "apps/moeshift/cli/option_value.hpp"
#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/cli/spelled.hpp"
#include "apps/moeshift/inputs/recorded_world.hpp"
#include "apps/moeshift/plan/plan_goal.hpp"
#include "apps/moeshift/serving/commands.hpp"
#include "apps/moeshift/serving/diagnose_report.hpp"
#include "apps/moeshift/serving/serving_options.hpp"
#include "apps/moeshift/serving/serving_page.hpp"
#include "apps/moeshift/serving/sweep_refusal.hpp"
#include "apps/moeshift/serving/sweep_report.hpp"

namespace moeshift::cli {
namespace {

constexpr std::string_view kObjectives = "objectives";

/// Tells of a second replay under a name of its own.
class UnderName final : public Progress {
 public:
  UnderName(Progress& progress, std::string_view name) : progress_(progress), name_(name) {}
  void update(std::string_view, std::uint64_t done, std::uint64_t total) override {
    progress_.update(name_, done, total);
  }
  [[nodiscard]] bool interrupted() const override { return progress_.interrupted(); }

 private:
  Progress& progress_;
  std::string_view name_;
};

class Sweep final : public Command {
 public:
  void declare(Options& options) override {
    trace_.declare(options);
    options.list("--policies", policies_, "who takes part; static always does");
    options.require_last();
    options.list("--ranks", ranks_,
                 "numbers of ranks to try, e.g. 32,64; default: as the recording says");
    options.list("--slots", slots_,
                 "physical slots per layer to try, e.g. 256,288,320; default: likewise");
    options.list("--interval", intervals_, "steps between decisions to try; default: as --like");
    options.list("--forecaster", forecasters_,
                 "forecasters to try, e.g. mean:200,ewma:0.05; default: as --like");
    options.option("--memory", memory_,
                   "expert weights that a rank may hold, buffers included; default: all memory of "
                   "the cluster's ranks");
    options.choice("--goal", goal_, {"throughput", "per-rank", "p99"}, "what the best is best at");
    ExceptOptions shape(options, {"--ranks", "--slots"});
    shape_.declare(shape);
    ExceptOptions lane(options, {"--interval", "--forecaster"});
    lane_.declare(lane);
    options.section("serving");
    serving_.declare(options);
    options.section("policy");
    ExceptOptions policy(options, {"--slots-budget"});  // whose memory depends on the load
    declare_policy_options(policy, policy_options_, plan_goal_.price_steps);
    options.section("goal");
    ExceptOptions goal(options, declared_with_serving());
    plan_goal_.declare(goal);
    trace_.declare_options(options);
  }

  ExitCode run(Session& session) override {
    check_policy_options(session, policies_, policy_options_);
    const bool moves = std::ranges::any_of(policies_, [](const auto& p) { return p != "static"; });
    for (const std::string& line : lane_.unused(moves ? "" : "static")) session.mention(line);
    OpenTrace trace(session, trace_, shape_.model, Reading::kSeveralTimes);
    take_record(session, trace.header());
    lane_.read_routes(session, trace_, shape_.model, trace);
    const SweepGrid grid = make_grid(session);
    prepare(session, grid, trace.header());
    std::vector<SweepRow> rows = feasible_rows(session, grid, trace.header());
    std::deque<Lane> lanes;
    std::deque<BlockRecorder> recorders;
    std::vector<Lane*> pointers;
    for (SweepRow& row : rows) {
      const SweepPoint& point = row.point;
      const PlanShape shape = shape_of(point.ranks, point.slots);
      lanes
          .emplace_back(settings_of(session, point), *deployments_.at(point.ranks),
                        initial_placement(session, shape, trace.header(), std::nullopt))
          .observe_with(&recorders.emplace_back(row.blocks));
    }
    for (Lane& lane : lanes) pointers.push_back(&lane);
    expect_replays(session, rows);
    recorded_ = trace_.count_steps(session, shape_.model);
    (void)replay(trace.source(), pointers, replay_options(session), session.progress());
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i].result = lanes[i].result();
    const SweepVerdict verdict = judge_sweep(rows, sweep_goal_named(goal_), session.seed());
    warn_of_intervals(session, rows);
    report(session, rows, verdict, objectives_at(session, rows[verdict.thrifty]));
    return ExitCode::kGood;
  }

 private:
  /// What the recording says, where nothing is to be tried: other ranks are the question here, and
  /// no contradiction.
  void take_record(Session& session, const TraceHeader& header) {
    PlanShape shape = shape_;
    shape.allow_different = true;
    const auto counts = [](const char* option, const std::vector<std::string>& words) {
      const std::vector<std::size_t> numbers = parse_counts(option, words);
      return numbers.empty() ? std::size_t{0} : numbers.front();
    };
    shape.ranks = counts("--ranks", ranks_);
    shape.slots = counts("--slots", slots_);
    shape = whole_shape(session, std::move(shape), header);
    if (ranks_.empty()) ranks_ = {std::to_string(shape.ranks)};
    if (slots_.empty()) slots_ = {std::to_string(shape.slots)};
    shape_.model = shape.model;
    if (ranks_.size() == 1) shape_.nodes = shape.nodes;
  }

  SweepGrid make_grid(Session& session) {
    SweepGrid grid{.policies = policies_,
                   .ranks = parse_counts("--ranks", ranks_),
                   .slots = parse_counts("--slots", slots_),
                   .intervals = {},
                   .forecasters = forecasters_};
    for (const std::string& forecaster : forecasters_) (void)make_forecaster(forecaster);
    if (grid.forecasters.empty()) grid.forecasters.emplace_back();
    for (const std::size_t interval : parse_counts("--interval", intervals_)) {
      grid.intervals.push_back(interval);
    }
    if (grid.intervals.empty()) {
      grid.intervals.push_back(lane_.settings(session.seed()).rule.interval);
    }
    first_ = *std::min_element(grid.intervals.begin(), grid.intervals.end());
    for (const std::string& policy : policies_) {
      if (std::count(policies_.begin(), policies_.end(), policy) > 1) {
        throw InputError("--policies", fmt::format("'{}' is named twice", policy));
      }
    }
    return grid;
  }

  /// Lanes that never move cost little, and the objectives of the best point about four that do.
  static void expect_replays(Session& session, const std::vector<SweepRow>& rows) {
    constexpr double kOfObjectives = 4;
    const auto moving =
        std::ranges::count_if(rows, [](const SweepRow& row) { return row.point.interval != 0; });
    session.expect({{"steps", std::max<double>(static_cast<double>(moving), 1)},
                    {std::string(kObjectives), moving > 0 ? kOfObjectives : 0}});
  }

  [[nodiscard]] ReplayOptions replay_options(Session& session) const {
    ReplayOptions options = serving_.replay_options(session);
    options.recorded_steps = recorded_;
    return options;
  }

  [[nodiscard]] PlanShape shape_of(std::size_t ranks, std::size_t slots) const {
    PlanShape shape = shape_;
    shape.ranks = ranks;
    shape.slots = slots;
    return shape;
  }

  /// What points share: planners, machines of every size, and the limit on memory.
  void prepare(Session& session, const SweepGrid& grid, const TraceHeader& header) {
    for (const std::size_t ranks : grid.ranks) {
      const PlannedFor planned =
          read_planned_for(session, shape_of(ranks, grid.slots.front()), header);
      deployments_[ranks] = serving_.deployment(session, planned);
      model_ = *planned.model;
      PolicyOptions options = policy_options_;
      plan_goal_.of_replay(serving_.tokens_per_step, serving_.serving)
          .apply_to(options, session, planned, {}, lane_.plans_with_routes());
      resolved_[ranks] = options;
      for (const std::string& policy : grid.policies) {
        planners_[{policy, ranks}] = plan_goal_.limited(make_planner(policy, options));
      }
    }
    limit_ = memory_.value_or(deployments_.begin()->second->cluster.rank_memory);
  }

  std::vector<SweepRow> feasible_rows(Session& session, const SweepGrid& grid,
                                      const TraceHeader& header) {
    const std::size_t buffers = lane_.settings(session.seed()).mode.buffers;
    std::vector<SweepRow> rows;
    for (const SweepPoint& point : grid.points()) {
      std::optional<std::string> reason = shape_refusal(point, model_, buffers, limit_);
      if (!reason) reason = policy_refusal(point, header);
      if (reason) {
        refused_.push_back({point, *reason});
        continue;
      }
      SweepRow row;
      row.point = point;
      row.memory = expert_memory(model_, point, buffers);
      rows.push_back(std::move(row));
    }
    if (rows.empty()) {
      throw InfeasibleError(fmt::format("{} cannot be; the first, {}: {}",
                                        counted(refused_.size(), "combination"),
                                        refused_.front().point.name(), refused_.front().reason));
    }
    return rows;
  }

  /// Lets the policy plan one layer, to see whether it can serve the shape at all.
  [[nodiscard]] std::optional<std::string> policy_refusal(const SweepPoint& point,
                                                          const TraceHeader& header) const {
    if (point.interval == 0) return std::nullopt;
    const Deployment& deployment = *deployments_.at(point.ranks);
    PlanProblem problem{.load = LoadMatrix(1, header.num_experts, 1.0),
                        .samples = {},
                        .topology = deployment.topology(),
                        .slots = point.slots,
                        .expert_groups = deployment.expert_groups};
    NoProgress progress;
    const Placement initial = make_planner("static")->plan(problem, Threads{1}, progress).placement;
    problem.old = &initial;
    try {
      (void)planners_.at({point.policy, point.ranks})->plan(problem, Threads{1}, progress);
    } catch (const InfeasibleError& error) {
      return spelled(error.what());
    }
    return std::nullopt;
  }

  [[nodiscard]] LaneSettings settings_of(Session& session, const SweepPoint& point) const {
    LaneOptions lane = lane_;
    if (point.interval != 0) {
      // Everybody decides for the first time at the same step: intervals differ, warm-ups do not.
      if (!lane.first && lane.like == "moeshift") lane.first = first_;
      lane.interval = point.interval;
    }
    if (!point.forecaster.empty()) lane.forecaster = point.forecaster;
    LaneSettings settings = lane.settings(session.seed(), point.policy);
    settings.name = point.name();
    if (point.interval != 0) settings.planner = planners_.at({point.policy, point.ranks});
    settings.schedule = lane.schedule(deployments_.at(point.ranks)->cluster);
    return settings;
  }

  /// Rows that plan once, or never, although they are called after an interval.
  void warn_of_intervals(Session& session, const std::vector<SweepRow>& rows) const {
    std::uint64_t longest = 0;
    bool undecided = false;
    for (const SweepRow& row : rows) {
      if (row.point.interval == 0) continue;
      if (row.point.interval >= row.result.steps) longest = std::max(longest, row.point.interval);
      undecided = undecided || row.result.decisions.due == 0;
    }
    const std::uint64_t steps = rows.front().result.steps;
    if (undecided) {
      session.warn(
          fmt::format("some policies decided nothing in the {} steps that the trace is "
                      "served in: they are `static`; use shorter intervals",
                      steps));
    } else if (longest > 0) {
      session.warn(
          fmt::format("an interval of {} is longer than the {} steps that the trace is "
                      "served in: such rows plan once, at step {}",
                      longest, steps, first_));
    }
  }

  /// The advised row again, planned for each objective; none for `static`.
  [[nodiscard]] std::optional<ObjectiveVerdict> objectives_at(Session& session,
                                                              const SweepRow& row) const {
    if (row.point.interval == 0) return std::nullopt;
    OpenTrace trace(session, trace_, shape_.model, Reading::kSeveralTimes);
    const PlanShape shape = shape_of(row.point.ranks, row.point.slots);
    const Deployment& deployment = *deployments_.at(row.point.ranks);
    const double tokens = row.result.tokens / static_cast<double>(row.result.steps);
    std::deque<Lane> lanes;
    std::deque<StepBlocks> blocks;
    std::deque<BlockRecorder> recorders;
    std::vector<Lane*> pointers;
    std::vector<ObjectiveLane> compared;
    for (auto& [objective, planner] :
         objective_planners(deployment, tokens, row.point.policy, resolved_.at(row.point.ranks))) {
      LaneSettings settings = settings_of(session, row.point);
      settings.planner = std::move(planner);
      Lane& lane =
          lanes.emplace_back(std::move(settings), deployment,
                             initial_placement(session, shape, trace.header(), std::nullopt));
      lane.observe_with(&recorders.emplace_back(blocks.emplace_back()));
      pointers.push_back(&lane);
      compared.push_back({objective, &blocks.back()});
    }
    UnderName progress(session.progress(), kObjectives);
    (void)replay(trace.source(), pointers, replay_options(session), progress);
    return judge_objectives(compared, row.result.step_times.mean(), session.seed());
  }

  void report(Session& session, const std::vector<SweepRow>& rows, const SweepVerdict& verdict,
              const std::optional<ObjectiveVerdict>& objectives) const {
    const SweepGoal goal = sweep_goal_named(goal_);
    const LaneSettings settings = lane_.settings(session.seed());
    const LaneResult& first = rows.front().result;
    const Conclusion conclusion = conclusion_of(rows, verdict, goal);
    Report report("sweep", "Settings served the same traffic");
    report.result() = {
        {"answer", conclusion.text},
        {"steps", first.steps},
        {"mode", to_string(settings.mode)},
        {"memory_bytes_per_rank", limit_.count()},
        {"best", best_json(rows, verdict, goal)},
        {"objectives",
         objectives_json(objectives ? objectives->outcomes : std::vector<ObjectiveOutcome>())},
        {"rows", to_json(rows, verdict)},
        {"refused", to_json(refused_)}};
    report.note(fmt::format("{}, {} cannot be; {} of {}; mode {}; at most {} of experts per rank",
                            counted(rows.size() + refused_.size(), "combination"), refused_.size(),
                            counted(first.steps, "step"), counted(first.tokens_per_step(), "token"),
                            to_string(settings.mode), human(limit_)));
    report.table(sweep_table(rows, verdict, goal));
    if (!refused_.empty()) report.table(refused_table(refused_));
    report.add(conclusion);
    add_sweep_page(rows, verdict, goal, report);
    if (objectives) {
      report.note(fmt::format("at {}: {}", rows[verdict.thrifty].point.name(), objectives->text));
    }
    report.note(
        "weights: experts and buffers per rank; gain: tokens/s over static with as many ranks and "
        "slots; behind: mean over blocks of steps, paired; *: nobody is better for fewer bytes "
        "moved");
    session.emit(report);
  }

  TraceInputs trace_;
  std::vector<std::string> policies_;
  std::vector<std::string> ranks_;
  std::vector<std::string> slots_;
  std::vector<std::string> intervals_;
  std::vector<std::string> forecasters_;
  std::optional<Bytes> memory_;
  std::string goal_ = "throughput";
  PlanShape shape_;
  PolicyOptions policy_options_;
  PlanGoal plan_goal_;
  LaneOptions lane_;
  std::optional<std::uint64_t> recorded_;  ///< steps of the trace
  ServingOptions serving_;
  /// A price in seconds depends on the ranks.
  std::map<std::pair<std::string, std::size_t>, std::shared_ptr<const Planner>> planners_;
  std::map<std::size_t, PolicyOptions> resolved_;
  std::map<std::size_t, std::unique_ptr<Deployment>> deployments_;
  MoeModel model_;
  Bytes limit_;
  std::size_t first_ = 0;  ///< step of everybody's first decision
  std::vector<Refused> refused_;
};

}  // namespace

std::unique_ptr<Command> make_sweep() {
  return std::make_unique<Sweep>();
}

}  // namespace moeshift::cli
