// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/files/check_report.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <ostream>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/number_text.hpp"
#include "moeshift/report/figures.hpp"
#include "moeshift/report/html.hpp"

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
          {"verdict", name_of(row.outcome)}};
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
  return {fixed_with_sign(*share * 100, 2) + " %", round_trip(*share), true};
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
                          Cell::text(std::string(name_of(row.outcome)))});
  }
  return table;
}

std::size_t count_of(const std::vector<MetricComparison>& rows, Outcome outcome) {
  return static_cast<std::size_t>(std::count_if(
      rows.begin(), rows.end(), [&](const auto& row) { return row.outcome == outcome; }));
}

Json to_json(const RequirementOutcome& row) {
  return {{"metric", row.path},
          {"requirement", to_string(row.requirement)},
          {"value", row.value},
          {"passed", row.met}};
}

Table requirement_table(const std::vector<RequirementOutcome>& rows) {
  Table table{"", {"metric", "required", "now", "verdict"}, {}};
  for (const RequirementOutcome& row : rows) {
    table.rows.push_back({Cell::text(row.path),
                          Cell::text(to_string(row.requirement)),
                          {shown(row.value), round_trip(row.value), true},
                          Cell::text(row.met ? "met" : "NOT met")});
  }
  return table;
}

/// How bad: vanished, worse, new, same, better.
int badness(const MetricComparison& row) {
  switch (row.outcome) {
    case Outcome::kMissing:
      return 4;
    case Outcome::kWorse:
      return 3;
    case Outcome::kNew:
      return 2;
    case Outcome::kSame:
      return 1;
    case Outcome::kBetter:
      return 0;
  }
  return 0;
}

/// What of each figure changed, worst first; only numbers have a bar.
Chart changes(std::vector<MetricComparison> rows) {
  std::stable_sort(rows.begin(), rows.end(),
                   [](const auto& a, const auto& b) { return badness(a) > badness(b); });
  Chart chart{.title = "Change of each figure against the baseline, worst first",
              .draw = Draw::kIntervals,
              .data = {"", {"metric", "change"}, {}},
              .x = "share of the baseline"};
  for (const MetricComparison& row : rows) {
    const auto change = row.relative_change();
    if (!change) continue;
    chart.data.rows.push_back({Cell::text(fmt::format("{} ({})", row.path, name_of(row.outcome))),
                               Cell::percent(*change, 2)});
  }
  return chart;
}

std::size_t unmet(const std::vector<RequirementOutcome>& rows) {
  return static_cast<std::size_t>(
      std::count_if(rows.begin(), rows.end(), [](const auto& row) { return !row.met; }));
}

std::string summary_of(const CheckAnswer& answer) {
  std::string text = answer.failed() ? "REGRESSION" : "passed";
  if (answer.rows.empty()) text = answer.failed() ? "NOT MET" : "passed";
  std::string counts;
  if (!answer.rows.empty()) {
    counts = fmt::format(
        "{} better, {} same, {} worse, {} missing from the result",
        count_of(answer.rows, Outcome::kBetter), count_of(answer.rows, Outcome::kSame),
        count_of(answer.rows, Outcome::kWorse), count_of(answer.rows, Outcome::kMissing));
  }
  if (!answer.required.empty()) {
    counts += fmt::format("{}{} of {} requirements met", counts.empty() ? "" : "; ",
                          answer.required.size() - unmet(answer.required), answer.required.size());
  }
  return text + ": " + counts;
}

std::string fault_of(const MetricComparison& row) {
  const auto change = row.relative_change();
  const std::string how = row.outcome == Outcome::kMissing
                              ? "is missing from the result"
                              : fmt::format("is {}", name_of(row.outcome));
  return fmt::format("{} {}: {} -> {}{}", row.path, how,
                     row.baseline_text.empty() ? "nothing" : row.baseline_text,
                     row.value_text.empty() ? "nothing" : row.value_text,
                     change ? fmt::format(" ({} %)", fixed_with_sign(*change * 100, 2)) : "");
}

std::string fault_of(const RequirementOutcome& row) {
  return fmt::format("{} is {:g}, required {}", row.path, row.value, to_string(row.requirement));
}

void write_case(std::ostream& out, const std::string& command, const std::string& path,
                const std::optional<std::string>& fault) {
  out << fmt::format("  <testcase classname=\"moeshift.{}\" name=\"{}\"", escape_html(command),
                     escape_html(path));
  if (!fault) {
    out << "/>\n";
    return;
  }
  out << fmt::format(">\n    <failure message=\"{}\"/>\n  </testcase>\n", escape_html(*fault));
}

/// What a workflow command takes for the end of itself or of a property.
std::string escaped_command(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '%' || c == '\n' || c == '\r' || c == ':' || c == ',') {
      escaped += fmt::format("%{:02X}", static_cast<unsigned>(c));
    } else {
      escaped += c;
    }
  }
  return escaped;
}

}  // namespace

bool CheckAnswer::failed() const {
  return unmet(required) > 0 ||
         std::any_of(rows.begin(), rows.end(), [](const auto& row) { return row.fails(); });
}

Report check_report(const CheckAnswer& answer) {
  Report report("check", answer.failed() ? "Something became worse" : "Nothing became worse");
  Json metrics = Json::array();
  for (const MetricComparison& row : answer.rows) metrics.push_back(to_json(row));
  Json required = Json::array();
  for (const RequirementOutcome& row : answer.required) required.push_back(to_json(row));
  Json differences = Json::array();
  for (const SubjectDifference& one : answer.differences) {
    differences.push_back({{"what", one.what}, {"baseline", one.baseline}, {"value", one.value}});
  }
  report.result() = {{"command", answer.command},
                     {"passed", !answer.failed()},
                     {"better", count_of(answer.rows, Outcome::kBetter)},
                     {"same", count_of(answer.rows, Outcome::kSame)},
                     {"worse", count_of(answer.rows, Outcome::kWorse)},
                     {"missing", count_of(answer.rows, Outcome::kMissing)},
                     {"rows", std::move(metrics)}};
  if (!required.empty()) report.result()["required"] = std::move(required);
  if (!differences.empty()) report.result()["allowed_differences"] = std::move(differences);
  for (const SubjectDifference& one : answer.differences) {
    report.note(
        fmt::format("another {}: {} in the baseline, {} now", one.what, one.baseline, one.value));
  }
  if (!answer.rows.empty()) report.table(comparison_table(answer.rows));
  if (!answer.required.empty()) report.table(requirement_table(answer.required));
  report.add(changes(answer.rows));
  report.add(Conclusion{summary_of(answer), answer.failed() ? Tone::kBad : Tone::kGood, {}});
  return report;
}

void write_junit(std::ostream& out, const CheckAnswer& answer) {
  const auto failing = static_cast<std::size_t>(std::count_if(
      answer.rows.begin(), answer.rows.end(), [](const auto& row) { return row.fails(); }));
  out << "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
      << fmt::format("<testsuite name=\"moeshift check {}\" tests=\"{}\" failures=\"{}\">\n",
                     escape_html(answer.source), answer.rows.size() + answer.required.size(),
                     failing + unmet(answer.required));
  for (const MetricComparison& row : answer.rows) {
    write_case(out, answer.command, row.path,
               row.fails() ? std::optional(fault_of(row)) : std::nullopt);
  }
  for (const RequirementOutcome& row : answer.required) {
    write_case(out, answer.command, row.path + " " + to_string(row.requirement),
               row.met ? std::nullopt : std::optional(fault_of(row)));
  }
  out << "</testsuite>\n";
}

void write_github(std::ostream& out, const CheckAnswer& answer) {
  const auto error = [&](const std::string& text) {
    out << fmt::format("::error file={},title=moeshift check::{}\n", escaped_command(answer.source),
                       escaped_command(text));
  };
  for (const MetricComparison& row : answer.rows) {
    if (row.fails()) error(fault_of(row));
  }
  for (const RequirementOutcome& row : answer.required) {
    if (!row.met) error(fault_of(row));
  }
  out << fmt::format("::notice title=moeshift check::{}\n", escaped_command(summary_of(answer)));
}

}  // namespace moeshift::cli
