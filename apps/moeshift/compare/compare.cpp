// SPDX-License-Identifier: Apache-2.0
// moeshift compare: several policies plan on the same steps and are judged on others.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/number_text.hpp"

#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/compare/commands.hpp"
#include "apps/moeshift/compare/compare_options.hpp"
#include "apps/moeshift/compare/compare_page.hpp"
#include "apps/moeshift/compare/compare_report.hpp"
#include "apps/moeshift/compare/compare_rows.hpp"
#include "apps/moeshift/compare/compare_windows.hpp"

namespace moeshift::cli {
namespace {

using Json = nlohmann::ordered_json;

class Compare final : public Command {
 public:
  void declare(Options& options) override { question_.declare(options); }

  ExitCode run(Session& session) override {
    question_.check();
    for (const std::string& line : question_.unused()) session.say(line);
    check_policy_options(session, question_.policies, question_.policy_options);
    session.expect({{"reading", 0.1}, {"policies", 0.9}});
    question_.shape = with_plan(session, question_.shape, question_.from);
    const ComparisonWindows windows = read_windows(session);
    std::optional<ComparisonRoutes> routes;
    if (!question_.replay) {
      routes = load_comparison_routes(opener(session), question_.trace.name(), window_names(),
                                      windows, session.threads());
    }
    const ComparisonRows comparison(session, question_, windows, routes ? &*routes : nullptr);
    const std::vector<ComparisonRow> rows =
        question_.replay ? comparison.of_replay() : comparison.of_settings();
    const Standings standings = standings_of(rows, reference_row(rows), session.seed());
    session.emit(make_report(session, windows, rows, standings));
    return ExitCode::kGood;
  }

 private:
  [[nodiscard]] OpenTrace opener(Session& session) {
    return [this, &session] {
      auto reader = question_.trace.open(session, question_.shape.model, Reading::kSeveralTimes);
      question_.take_record(session, reader->header());
      return reader;
    };
  }
  [[nodiscard]] WindowNames window_names() const {
    return {.train = question_.train,
            .test = question_.test,
            .previous = question_.previous,
            .forecaster = question_.forecaster};
  }

  [[nodiscard]] ComparisonWindows read_windows(Session& session) {
    ComparisonWindows windows = load_comparison_windows(opener(session), question_.trace.name(),
                                                        window_names(), !question_.replay);
    for (const TrainWindow& train : windows.train) {
      if (train.loads.steps_per_sample() == 1) continue;
      session.say(fmt::format("moeshift: {} steps are planned on as windows of {} steps each",
                              train.loads.steps(), train.loads.steps_per_sample()));
    }
    if (!question_.replay && windows.test.steps.size() == 1 && windows.train.size() == 1 &&
        windows.train.front().steps == windows.test.steps && question_.train.empty()) {
      session.warn("the trace has one step: policies are judged on what they planned on");
    }
    return windows;
  }

  [[nodiscard]] std::size_t reference_row(const std::vector<ComparisonRow>& rows) const {
    const std::string wanted = question_.reference.value_or("static");
    const auto found = std::find_if(rows.begin(), rows.end(),
                                    [&](const ComparisonRow& row) { return row.policy == wanted; });
    return found == rows.end() ? 0 : static_cast<std::size_t>(found - rows.begin());
  }

  [[nodiscard]] Report make_report(Session& session, const ComparisonWindows& windows,
                                   const std::vector<ComparisonRow>& rows,
                                   const Standings& standings) const {
    const TraceHeader& header = windows.header;
    const Topology topology =
        read_planned_for(session, question_.shape_with(question_.slot_counts.front()), header)
            .topology;
    const bool with_bytes = question_.shape.model.has_value();
    const Conclusion conclusion = conclusion_of(rows, standings);
    Report report("compare", "Policies on held-out steps");
    report.about("trace", header.model);
    Json train = Json::array();
    if (windows.train.size() == 1) train = windows.train.front().steps;
    report.result() = {
        {"answer", conclusion.text},
        {"train_steps", std::move(train)},
        {"test_steps", windows.test.steps},
        {"previous", question_.previous_text()},
        {"ranks", topology.ranks()},
        {"nodes", topology.nodes()},
        {"slots", question_.slot_counts.size() == 1 ? Json(question_.slot_counts.front())
                                                    : Json(question_.slot_counts)},
        {"replay", question_.replay},
        {"dispatch", question_.goal.dispatch},
        {"reference", rows[standings.reference].name()},
        {"best", best_json(rows, standings)},
        {"rows", to_json(rows, standings, header.num_layers, with_bytes)}};
    report.note(
        fmt::format("{} x {} -> {} slots on {}, {}; {}", counted(header.num_layers, "layer"),
                    counted(header.num_experts, "expert"), fmt::join(question_.slot_counts, ", "),
                    counted(topology.ranks(), "rank"), counted(topology.nodes(), "node"),
                    windows_note(windows, rows)));
    report.table(comparison_table(rows, header.num_layers, with_bytes));
    report.table(held_out_table(rows, standings));
    if (auto network = network_table(rows, standings.reference)) report.table(std::move(*network));
    report.add(conclusion);
    add_compare_page(rows, standings, header.num_layers, with_bytes, report);
    report.note(legend(rows[standings.reference].name()));
    return report;
  }

  [[nodiscard]] std::string windows_note(const ComparisonWindows& windows,
                                         const std::vector<ComparisonRow>& rows) const {
    if (question_.replay) {
      return fmt::format("planned again before each of the last {} windows of {} step{}",
                         rows.front().scores.size(), question_.window,
                         question_.window == 1 ? "" : "s");
    }
    std::vector<std::size_t> steps;
    for (const TrainWindow& window : windows.train) steps.push_back(window.steps.size());
    return fmt::format("{} step{} to plan on, {} to judge", fmt::join(steps, ", "),
                       steps == std::vector<std::size_t>{1} ? "" : "s", windows.test.steps.size());
  }

  [[nodiscard]] std::string legend(const std::string& reference) const {
    return fmt::format(
        "train, test: balancedness there ({} dispatch); moves, inter: transfers per layer{}, all "
        "and between nodes, from {}; predicted: time of the whole rearrangement; gain: over {}, "
        "window by window; pareto: nobody is better there with as few transfers",
        question_.goal.dispatch, question_.replay ? " and window" : "", question_.previous_text(),
        reference);
  }

  CompareOptions question_;
};

}  // namespace

std::unique_ptr<Command> make_compare() {
  return std::make_unique<Compare>();
}

}  // namespace moeshift::cli
