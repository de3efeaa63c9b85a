// SPDX-License-Identifier: Apache-2.0
// moeshift compare: several policies plan on the same steps and are judged on others.
#include <algorithm>
#include <iterator>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/plan/registry.hpp"
#include "moeshift/trace/placement_format.hpp"
#include "moeshift/trace/window.hpp"

#include "apps/moeshift/commands/commands.hpp"
#include "apps/moeshift/contest.hpp"
#include "apps/moeshift/contest_report.hpp"
#include "apps/moeshift/contest_windows.hpp"
#include "apps/moeshift/except_options.hpp"
#include "apps/moeshift/option_value.hpp"
#include "apps/moeshift/plan_goal.hpp"
#include "apps/moeshift/planning.hpp"
#include "apps/moeshift/session.hpp"

namespace moeshift::cli {
namespace {

using Json = nlohmann::ordered_json;

class Compare final : public Command {
 public:
  void declare(Options& options) override {
    options.positional("TRACE", trace_, "recorded loads; '-' is standard input");
    options.list("--policies", policies_, "who takes part; see `moeshift policies`");
    options.require_last();
    ExceptOptions once(options, {"--slots"});
    shape_.declare(once);
    options.list("--slots", slots_, "physical slots per layer over all ranks, e.g. 256,288,320");
    options.require_last();
    options.list("--train", train_,
                 "steps to plan on, first:last (last not included), several for several settings; "
                 "default: the first half");
    options.option("--test", test_, "held-out steps to judge on; default: the second half");
    options.option("--previous", previous_,
                   "steps on which each policy planned the placement that it now moves away from; "
                   "default: all start from the initial map of an engine (policy static)");
    options.option("--from", from_, "or the placement (plan file) that all move away from");
    options.flag("--replay", replay_,
                 "plan again after every window, on the past alone; the next window judges");
    options.option("--window", window_, "replay: steps per window");
    options.list("--history", history_, "replay: windows to plan on, e.g. 1,4,16; default: 1");
    declare_forecaster(options, forecaster_);
    options.option("--reference", reference_,
                   "policy that the others are compared with; default: static, else the first");
    declare_policy_options(options, policy_options_);
    goal_.declare(options);
  }

  ExitCode run(Session& session) override {
    check_options();
    prepare(session);
    const ContestWindows windows = read_windows(session);
    const std::vector<ContestRow> rows =
        replay_ ? replayed_rows(session, windows) : rows_of_settings(session, windows);
    const Standings standings = standings_of(rows, reference_row(rows), session.seed());
    session.emit(make_report(session, windows, rows, standings));
    return ExitCode::kGood;
  }

 private:
  void check_options() {
    std::set<std::string> seen;
    for (const std::string& policy : policies_) {
      if (!seen.insert(policy).second) {
        throw InputError("--policies", fmt::format("'{}' is named twice", policy));
      }
    }
    slot_counts_ = parse_counts("--slots", slots_);
    if (history_.empty()) history_ = {"1"};
    history_counts_ = parse_counts("--history", history_);
    if (window_ == 0) throw InputError("--window", "expected at least 1");
    if (replay_ && (!train_.empty() || test_ || previous_)) {
      throw InputError("--replay",
                       "expected no --train, --test or --previous: every window is "
                       "held out once");
    }
    if (train_.empty() == test_.has_value()) {
      throw InputError(test_ ? "--train" : "--test", "expected --train and --test together");
    }
    if (previous_ && from_) throw InputError("--from", "expected either --from or --previous");
    if (from_ && slot_counts_.size() > 1) {
      throw InputError("--from", "a placement has one number of slots; expected one in --slots");
    }
    const bool known = std::count(policies_.begin(), policies_.end(), reference_.value_or("")) > 0;
    if (reference_ && !known) {
      throw InputError("--reference", fmt::format("'{}' takes no part", *reference_));
    }
  }

  [[nodiscard]] PlanShape shape_with(std::size_t slots) const {
    PlanShape shape = shape_;
    shape.slots = slots;
    return shape;
  }

  /// What a budget in bytes means to the policies.
  void prepare(Session& session) {
    if (shape_.model) {
      sizes_ = session.load_model(*shape_.model).expert_sizes();
      policy_options_.expert_bytes = sizes_->largest();
    } else if (policy_options_.budget) {
      throw InputError("--budget-bytes", "needs --model, which says how many bytes an expert has");
    }
  }

  /// One per policy, for loads that sum up `steps` of the recorded ones.
  [[nodiscard]] std::vector<std::unique_ptr<Planner>> make_planners(Session& session,
                                                                    const LoadWindow& recorded,
                                                                    std::size_t steps) const {
    PlannedSteps planned = steps_of(sum_of(recorded.loads), recorded.loads.size());
    planned.count = steps;
    PolicyOptions options = policy_options_;
    goal_.apply_to(options, session, shape_, recorded.header, planned);
    std::vector<std::unique_ptr<Planner>> planners;
    for (const std::string& policy : policies_) {
      planners.push_back(goal_.limited(make_planner(policy, options)));
    }
    return planners;
  }

  [[nodiscard]] ContestWindows read_windows(Session& session) const {
    const std::unique_ptr<std::istream> in = session.open_input(trace_);
    ContestWindows windows =
        load_contest_windows(*in, Session::name_of_input(trace_),
                             {.train = train_, .test = test_, .previous = previous_}, !replay_);
    if (!replay_ && windows.test.loads.size() == 1 && windows.train.size() == 1 &&
        windows.train.front().steps == windows.test.steps && train_.empty()) {
      session.warn("the trace has one step: policies are judged on what they planned on");
    }
    return windows;
  }

  Contest set_up(Session& session, const ContestWindows& windows, std::size_t slots) const {
    const TraceHeader& header = windows.test.header;
    const PlanShape shape = shape_with(slots);
    Contest contest{.train = {.load = {},
                              .topology = shape.topology(session),
                              .slots = slots,
                              .expert_groups = shape.expert_groups(session, header),
                              .seed = session.seed()},
                    .test = windows.test.loads,
                    .before = {},
                    .from = {},
                    .cluster = {},
                    .expert_sizes = {},
                    .dispatch = goal_.dispatch_options(session),
                    .forecaster = forecaster_};
    if (windows.previous) contest.before = sum_of(windows.previous->loads);
    if (shape_.cluster) contest.cluster = session.load_cluster(*shape_.cluster);
    contest.expert_sizes = sizes_;
    if (from_) contest.from = read_from(session, header);
    return contest;
  }

  /// Every policy under every number of slots and every training window; one after another, each
  /// with all threads, so that planning times mean what `plan` means by them.
  [[nodiscard]] std::vector<ContestRow> rows_of_settings(Session& session,
                                                         const ContestWindows& windows) const {
    std::vector<ContestRow> all;
    const std::size_t total = slot_counts_.size() * windows.train.size() * policies_.size();
    for (const std::size_t slots : slot_counts_) {
      Contest contest = set_up(session, windows, slots);
      for (std::size_t w = 0; w < windows.train.size(); ++w) {
        const LoadWindow& train = windows.train[w];
        plan_on(contest.train, train.loads, forecaster_);
        const auto planners = make_planners(session, train, forecaster_ ? 1 : train.loads.size());
        std::vector<ContestRow> rows;
        for (std::size_t i = 0; i < planners.size(); ++i) {
          session.progress().update("policies", all.size() + i, total);
          rows.push_back(try_policy(contest, policies_[i], *planners[i], session.threads(),
                                    session.progress()));
          const std::string steps = train_.empty() ? "the first half" : "steps " + train_[w];
          rows.back().planned_on = steps + forecast_text();
          rows.back().setting = setting_text(slots, windows.train.size() > 1 ? steps : "");
        }
        judge(contest, session.threads(), rows);
        std::move(rows.begin(), rows.end(), std::back_inserter(all));
      }
    }
    return all;
  }

  /// Every policy under every number of slots and every history, side by side.
  [[nodiscard]] std::vector<ContestRow> replayed_rows(Session& session,
                                                      const ContestWindows& windows) const {
    const std::size_t start = *std::max_element(history_counts_.begin(), history_counts_.end());
    std::vector<Contest> contests;
    for (const std::size_t slots : slot_counts_) {
      contests.push_back(set_up(session, windows, slots));
      contests.back().test = joined(windows.test.loads, window_);
    }
    const std::size_t count = contests.front().test.size();
    if (count <= start) {
      throw InputError("--history", fmt::format("expected fewer than the {} windows of {} steps",
                                                count, window_));
    }
    std::vector<std::vector<std::unique_ptr<Planner>>> planners;  // [histories][policies]
    for (const std::size_t history : history_counts_) {
      const std::size_t steps = forecaster_ ? window_ : history * window_;
      planners.push_back(make_planners(session, windows.test, steps));
    }
    const std::vector<ReplayJob> jobs = replay_jobs(contests.size());
    std::vector<ContestRow> rows(jobs.size());
    parallel_for(rows.size(), session.threads(), [&](std::size_t i) {
      const auto [slots, history, policy] = jobs[i];
      rows[i] = replay_policy(contests[slots], policies_[policy], *planners[history][policy],
                              history_counts_[history], start, session.progress());
      const std::string text = windows_text(history_counts_[history]);
      const bool told_apart = history_counts_.size() > 1 && policies_[policy] != "static";
      rows[i].planned_on = fmt::format("the last {}{}", text, forecast_text());
      rows[i].setting = setting_text(slot_counts_[slots], told_apart ? text : "");
    });
    return rows;
  }

  struct ReplayJob {
    std::size_t slots, history, policy;  ///< indices
  };

  /// `static` does not look at the past: once is enough.
  [[nodiscard]] std::vector<ReplayJob> replay_jobs(std::size_t slot_counts) const {
    std::vector<ReplayJob> jobs;
    for (std::size_t slots = 0; slots < slot_counts; ++slots) {
      for (std::size_t history = 0; history < history_counts_.size(); ++history) {
        for (std::size_t policy = 0; policy < policies_.size(); ++policy) {
          if (policies_[policy] == "static" && history > 0) continue;
          jobs.push_back({slots, history, policy});
        }
      }
    }
    return jobs;
  }

  [[nodiscard]] std::string forecast_text() const {
    return forecaster_ ? ", forecast " + *forecaster_ : "";
  }

  [[nodiscard]] std::string windows_text(std::size_t count) const {
    const std::size_t steps = count * window_;
    return fmt::format("{} step{}", steps, steps == 1 ? "" : "s");
  }

  [[nodiscard]] std::string setting_text(std::size_t slots, const std::string& planned_on) const {
    std::string text = slot_counts_.size() > 1 ? fmt::format("{} slots", slots) : "";
    if (!text.empty() && !planned_on.empty()) text += ", ";
    return text + planned_on;
  }

  [[nodiscard]] std::size_t reference_row(const std::vector<ContestRow>& rows) const {
    const std::string wanted = reference_.value_or("static");
    const auto found = std::find_if(rows.begin(), rows.end(),
                                    [&](const ContestRow& row) { return row.policy == wanted; });
    return found == rows.end() ? 0 : static_cast<std::size_t>(found - rows.begin());
  }

  [[nodiscard]] Placement read_from(Session& session, const TraceHeader& header) const {
    const std::unique_ptr<std::istream> in = session.open_input(*from_);
    const std::string name = Session::name_of_input(*from_);
    const PlacementHints hints{.num_experts = header.num_experts, .num_ranks = shape_.ranks};
    Placement placement = read_placement(*in, name, hints).placement;
    if (placement.layers() != header.num_layers) {
      throw InputError(
          name, fmt::format("has {} layers, the trace {}", placement.layers(), header.num_layers));
    }
    return placement;
  }

  [[nodiscard]] std::string previous_text() const {
    if (replay_) return "the window before";
    if (from_) return *from_;
    return previous_ ? "each policy's own plan on steps " + *previous_ : "the initial map";
  }

  [[nodiscard]] Report make_report(Session& session, const ContestWindows& windows,
                                   const std::vector<ContestRow>& rows,
                                   const Standings& standings) const {
    const TraceHeader& header = windows.test.header;
    const Topology topology = shape_with(slot_counts_.front()).topology(session);
    const bool with_bytes = shape_.model.has_value();
    Report report("compare");
    Json train = Json::array();
    if (windows.train.size() == 1) train = windows.train.front().steps;
    report.result() = {
        {"answer", verdict_of(rows, standings)},
        {"train_steps", std::move(train)},
        {"test_steps", windows.test.steps},
        {"previous", previous_text()},
        {"ranks", topology.ranks()},
        {"nodes", topology.nodes()},
        {"slots", slot_counts_.size() == 1 ? Json(slot_counts_.front()) : Json(slot_counts_)},
        {"replay", replay_},
        {"dispatch", goal_.dispatch},
        {"reference", rows[standings.reference].name()},
        {"best", best_json(rows, standings)},
        {"rows", to_json(rows, standings, header.num_layers, with_bytes)}};
    report.note(fmt::format("{} layers x {} experts -> {} slots on {} ranks, {} nodes; {}",
                            header.num_layers, header.num_experts, fmt::join(slot_counts_, ", "),
                            topology.ranks(), topology.nodes(), windows_note(windows, rows)));
    report.table(contest_table(rows, header.num_layers, with_bytes));
    report.table(held_out_table(rows, standings));
    report.note(verdict_of(rows, standings));
    report.note(legend(rows[standings.reference].name()));
    return report;
  }

  [[nodiscard]] std::string windows_note(const ContestWindows& windows,
                                         const std::vector<ContestRow>& rows) const {
    if (replay_) {
      return fmt::format("planned again before each of the last {} windows of {} step{}",
                         rows.front().scores.size(), window_, window_ == 1 ? "" : "s");
    }
    std::vector<std::size_t> steps;
    for (const LoadWindow& window : windows.train) steps.push_back(window.loads.size());
    return fmt::format("{} steps to plan on, {} to judge", fmt::join(steps, ", "),
                       windows.test.loads.size());
  }

  [[nodiscard]] std::string legend(const std::string& reference) const {
    return fmt::format(
        "train, test: balancedness there ({} dispatch); moves, inter: transfers per layer{}, all "
        "and between nodes, from {}; predicted: time of the whole rearrangement; gain: over {}, "
        "window by window; pareto: nobody is better there with as few transfers",
        goal_.dispatch, replay_ ? " and window" : "", previous_text(), reference);
  }

  std::string trace_;
  std::vector<std::string> policies_;
  PlanShape shape_;
  std::vector<std::string> slots_;
  std::vector<std::size_t> slot_counts_;
  std::vector<std::string> train_;
  std::optional<std::string> test_;
  std::optional<std::string> previous_;
  std::optional<std::string> from_;
  bool replay_ = false;
  std::size_t window_ = 1;
  std::vector<std::string> history_;
  std::vector<std::size_t> history_counts_;
  PlanGoal goal_;
  std::optional<std::string> forecaster_;
  std::optional<std::string> reference_;
  PolicyOptions policy_options_;
  std::optional<ExpertSizes> sizes_;  ///< with --model
};

}  // namespace

std::unique_ptr<Command> make_compare() {
  return std::make_unique<Compare>();
}

}  // namespace moeshift::cli
