// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/core/json_reader.hpp"
#include "moeshift/report/regression.hpp"
#include "moeshift/report/report.hpp"

#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/files/commands.hpp"

namespace moeshift::cli {
namespace {

using Json = nlohmann::ordered_json;

Json number_or_null(const std::optional<double>& number) {
  return number ? Json(*number) : Json();
}

Json to_json(const MetricComparison& row) {
  return {{"metric", row.path},
          {"better", name_of(row.better)},
          {"baseline", number_or_null(row.baseline)},
          {"value", number_or_null(row.value)},
          {"relative_change", number_or_null(row.relative_change())},
          {"tolerance",
           {{"amount", row.tolerance.amount},
            {"kind", row.tolerance.relative ? "relative" : "absolute"}}},
          {"verdict", name_of(row.verdict)}};
}

/// Large values as whole numbers, small ones to six digits.
std::string shown(double number) {
  constexpr double kLarge = 1e6;
  const bool large = std::abs(number) >= kLarge && std::abs(number) < 1e15;
  return large ? human_count(std::llround(number)) : fmt::format("{:.6g}", number);
}

Cell value_cell(const std::optional<double>& number, const std::string& json) {
  if (number) return {shown(*number), round_trip(*number), true};
  if (json.empty()) return Cell::empty();
  constexpr std::size_t kWidest = 12;
  if (json.size() <= kWidest) return {json, json, true};
  return {json.front() == '"' ? json.substr(1, kWidest - 2) + ".." : "(list)", json, true};
}

Cell change_cell(const MetricComparison& row) {
  const std::optional<double> share = row.relative_change();
  if (!share) return Cell::empty();
  return {fmt::format("{:+.2f} %", *share * 100), round_trip(*share), true};
}

Cell tolerance_cell(Tolerance tolerance) {
  const std::string text = tolerance.relative ? fmt::format("{:g} %", tolerance.amount * 100)
                                              : fmt::format("{:g}", tolerance.amount);
  return {text, text, true};
}

Table comparison_table(const std::vector<MetricComparison>& rows) {
  Table table;
  table.columns = {"metric", "baseline", "now", "change", "allowed", "verdict"};
  for (const MetricComparison& row : rows) {
    table.rows.push_back({Cell::text(row.path), value_cell(row.baseline, row.baseline_text),
                          value_cell(row.value, row.value_text), change_cell(row),
                          tolerance_cell(row.tolerance),
                          Cell::text(std::string(name_of(row.verdict)))});
  }
  return table;
}

std::size_t count_of(const std::vector<MetricComparison>& rows, Verdict verdict) {
  return static_cast<std::size_t>(std::count_if(
      rows.begin(), rows.end(), [&](const auto& row) { return row.verdict == verdict; }));
}

class Check final : public Command {
 public:
  void declare(Options& options) override {
    options.positional("RESULT", result_path_, "result (JSON) to judge; - is standard input");
    options.positional("BASELINE", baseline_path_, "earlier result of the same command");
    options.list("--fail-on", gates_,
                 "metric=tolerance: fail when it is worse than the baseline by more, e.g. "
                 "balancedness=0.5% or totals.rounds=0; none: what matters of that command");
  }

  ExitCode run(Session& session) override {
    const std::string result_name = Session::name_of_input(result_path_);
    const std::string baseline_name = Session::name_of_input(baseline_path_);
    const Json result = parse_json(session.read_text(result_path_), result_name);
    const Json baseline = parse_json(session.read_text(baseline_path_), baseline_name);
    const std::string command = command_of(result, result_name);
    const std::vector<MetricComparison> rows =
        compare_results(result, result_name, baseline, baseline_name, gates(command));
    const bool failed = std::any_of(rows.begin(), rows.end(),
                                    [](const MetricComparison& row) { return row.fails(); });
    session.emit(make_report(command, rows, failed));
    return failed ? ExitCode::kNegative : ExitCode::kGood;
  }

 private:
  [[nodiscard]] std::vector<Gate> gates(const std::string& command) const {
    std::vector<Gate> gates;
    for (const std::string& text : gates_) gates.push_back(parse_gate(text, "--fail-on"));
    if (gates.empty()) gates = default_gates(command);
    if (gates.empty()) {
      throw InputError("--fail-on", fmt::format("expected at least one metric=tolerance: results "
                                                "of '{}' have no default",
                                                command));
    }
    return gates;
  }

  static Report make_report(const std::string& command, const std::vector<MetricComparison>& rows,
                            bool failed) {
    Report report("check");
    Json metrics = Json::array();
    for (const MetricComparison& row : rows) metrics.push_back(to_json(row));
    report.result() = {{"command", command},
                       {"passed", !failed},
                       {"better", count_of(rows, Verdict::kBetter)},
                       {"same", count_of(rows, Verdict::kSame)},
                       {"worse", count_of(rows, Verdict::kWorse)},
                       {"missing", count_of(rows, Verdict::kMissing)},
                       {"rows", std::move(metrics)}};
    report.table(comparison_table(rows));
    report.note(fmt::format("{}: {} better, {} same, {} worse, {} missing from the result",
                            failed ? "REGRESSION" : "passed", count_of(rows, Verdict::kBetter),
                            count_of(rows, Verdict::kSame), count_of(rows, Verdict::kWorse),
                            count_of(rows, Verdict::kMissing)));
    return report;
  }

  std::string result_path_;
  std::string baseline_path_;
  std::vector<std::string> gates_;
};

}  // namespace

std::unique_ptr<Command> make_check() {
  return std::make_unique<Check>();
}

}  // namespace moeshift::cli
