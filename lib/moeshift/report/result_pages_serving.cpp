// SPDX-License-Identifier: Apache-2.0
// Pages of compare, sweep and simulate.
#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/report/charts.hpp"
#include "moeshift/report/result_pages.hpp"

namespace moeshift::pages {
namespace {

Cell one_digit(double value) {
  return Cell::decimal(value, 1);
}

std::string name_of_row(const Json& row) {
  const std::string name = text_at(row, "name");
  return name.empty() ? text_at(row, "policy") : name;
}

/// Rows with a difference and its interval under `key`; `sign` turns "behind" into "ahead".
IntervalChart intervals_of(const std::vector<const Json*>& rows, std::string_view key, Axis axis,
                           std::string better) {
  IntervalChart chart{.x = std::move(axis), .rows = {}, .better = std::move(better)};
  for (const Json* row : rows) {
    const Json& difference = value_at(*row, key);
    const auto mean = number_at(difference, "mean");
    if (!mean) continue;
    chart.rows.push_back({name_of_row(*row), *mean, number_at(difference, "low"),
                          number_at(difference, "high"), true_at(difference, "certain")});
  }
  return chart;
}

ScatterChart compare_scatter(const std::vector<const Json*>& rows) {
  const bool bytes = std::all_of(rows.begin(), rows.end(), [](const Json* row) {
    return sum_at(*row, "bytes_by_link").has_value();
  });
  ScatterChart chart{.x = bytes ? Axis{"bytes that move between ranks", Unit::kBytes}
                                : Axis{"transfers per layer", Unit::kPlain},
                     .y = {"balancedness, held out", Unit::kPlain},
                     .points = {}};
  for (const Json* row : rows) {
    const auto cost =
        bytes ? sum_at(*row, "bytes_by_link") : number_at(*row, "transfers_per_layer");
    auto value = number_at(*row, "held_out.balancedness_mean");
    if (!value) value = number_at(*row, "test.balancedness");
    if (cost && value) {
      chart.points.push_back({*cost, *value, name_of_row(*row), true_at(*row, "pareto")});
    }
  }
  return chart;
}

Table compare_table(const std::vector<const Json*>& rows) {
  Table table{"",
              {"policy", "train", "held out", "worst window", "transfers per layer",
               "between nodes", "predicted", "planning"},
              {}};
  for (const Json* row : rows) {
    table.rows.push_back({Cell::text(name_of_row(*row)),
                          cell_of(number_at(*row, "train.balancedness"), four_digits),
                          cell_of(number_at(*row, "test.balancedness"), four_digits),
                          cell_of(number_at(*row, "held_out.balancedness_worst"), four_digits),
                          cell_of(number_at(*row, "transfers_per_layer"), one_digit),
                          cell_of(number_at(*row, "inter_node_transfers_per_layer"), one_digit),
                          cell_of(number_at(*row, "predicted_seconds"), seconds_cell),
                          cell_of(number_at(*row, "plan_seconds"), seconds_cell)});
  }
  return table;
}

/// "incremental 16r 48s @100".
std::string short_name(const Json& row) {
  const std::string policy = text_at(row, "policy");
  const auto ranks = number_at(row, "ranks");
  const auto slots = number_at(row, "slots");
  if (policy.empty() || !ranks || !slots) return name_of_row(row);
  std::string name = fmt::format("{} {:.0f}r {:.0f}s", policy, *ranks, *slots);
  if (const auto interval = number_at(row, "interval_steps"))
    name += fmt::format(" @{:.0f}", *interval);
  const std::string forecaster = text_at(row, "forecaster");
  return forecaster.empty() ? name : name + " " + forecaster;
}

/// The rows least behind the best, best first.
IntervalChart behind_of(const std::vector<const Json*>& rows) {
  constexpr std::size_t kMostRows = 20;
  IntervalChart chart{
      .x = {"step time behind the best", Unit::kSeconds}, .rows = {}, .better = "less is better"};
  for (const Json* row : rows) {
    const Json& behind = value_at(*row, "behind_best");
    const auto mean = number_at(behind, "mean");
    if (!mean) continue;
    chart.rows.push_back({short_name(*row), *mean, number_at(behind, "low"),
                          number_at(behind, "high"), true_at(behind, "certain")});
  }
  std::stable_sort(chart.rows.begin(), chart.rows.end(),
                   [](const IntervalRow& a, const IntervalRow& b) { return a.value < b.value; });
  if (chart.rows.size() > kMostRows) chart.rows.resize(kMostRows);
  return chart;
}

ScatterChart sweep_scatter(const std::vector<const Json*>& rows) {
  ScatterChart chart{.x = {"bytes moved over the whole trace", Unit::kBytes},
                     .y = {"throughput, tokens/s", Unit::kCount},
                     .points = {}};
  for (const Json* row : rows) {
    const auto moved = sum_at(*row, "bytes_by_link");
    const auto rate = number_at(*row, "throughput_tokens_per_second");
    if (moved && rate) {
      chart.points.push_back({*moved, *rate, short_name(*row), true_at(*row, "pareto")});
    }
  }
  return chart;
}

Table sweep_table(const std::vector<const Json*>& rows) {
  Table table{"",
              {"combination", "experts per rank", "tokens/s", "vs static", "step p50", "p99",
               "exposed", "moved"},
              {}};
  for (const Json* row : rows) {
    table.rows.push_back({Cell::text(short_name(*row)),
                          cell_of(number_at(*row, "expert_bytes_per_rank"), bytes_cell),
                          cell_of(number_at(*row, "throughput_tokens_per_second"), count_cell),
                          cell_of(number_at(*row, "vs_static.throughput_ratio"), four_digits),
                          cell_of(number_at(*row, "step_seconds.p50"), seconds_cell),
                          cell_of(number_at(*row, "step_seconds.p99"), seconds_cell),
                          cell_of(number_at(*row, "transfer_seconds.exposed"), seconds_cell),
                          cell_of(sum_at(*row, "bytes_by_link"), bytes_cell)});
  }
  return table;
}

Table refused_table(const std::vector<const Json*>& refused) {
  Table table{"Combinations that cannot be", {"combination", "reason"}, {}};
  for (const Json* row : refused) {
    table.rows.push_back({Cell::text(name_of_row(*row)), Cell::text(text_at(*row, "reason"))});
  }
  return table;
}

struct LaneName {
  const char* key;  ///< "" = the result itself
  const char* name;
};
constexpr std::array<LaneName, 4> kLanes = {
    {{"", "as asked"}, {"static", "static"}, {"free_moves", "free moves"}, {"oracle", "oracle"}}};

/// The lane itself, for the run that was asked for the result as a whole.
const Json& lane_at(const Json& result, const LaneName& lane) {
  return *lane.key == '\0' ? result : value_at(result, lane.key);
}

void show_step_times(HtmlPage& page, const Json& result) {
  Table table{"", {"run", "tokens/s", "mean", "p50", "p90", "p99", "max", "exposed"}, {}};
  BarChart chart{.x = {"percentile of the step times", Unit::kPlain},
                 .y = {"step time", Unit::kSeconds},
                 .categories = {"mean", "p50", "p90", "p99", "max"},
                 .series = {},
                 .base = 0};
  for (const LaneName& lane : kLanes) {
    const Json& of = lane_at(result, lane);
    if (!number_at(of, "step_seconds.mean")) continue;
    Series series{lane.name, {}};
    std::vector<Cell> cells = {Cell::text(lane.name),
                               cell_of(number_at(of, "throughput_tokens_per_second"), count_cell)};
    for (const std::string& name : chart.categories) {
      const auto value = number_at(of, "step_seconds." + name);
      series.values.push_back(value.value_or(0));
      cells.push_back(cell_of(value, seconds_cell));
    }
    cells.push_back(cell_of(number_at(of, "transfer_seconds.exposed"), seconds_cell));
    table.rows.push_back(std::move(cells));
    chart.series.push_back(std::move(series));
  }
  if (chart.series.empty()) return;
  page.chart("Step times: the inter-token latency that users see", draw(chart));
  page.table(table);
}

void show_rearrangements(HtmlPage& page, const Json& result) {
  const auto records = rows_at(result, "rearrangements");
  if (records.empty()) return;
  std::vector<Series> seconds(2);
  seconds[0].name = "gained so far";
  seconds[1].name = "exposed";
  std::vector<std::string> steps;
  std::vector<Series> moved = {{"transfers", {}}};
  for (const Json* record : records) {
    steps.push_back(in_unit(number_at(*record, "step").value_or(0), Unit::kCount));
    seconds[0].values.push_back(number_at(*record, "gained_seconds").value_or(0));
    seconds[1].values.push_back(number_at(*record, "exposed_seconds").value_or(0));
    moved[0].values.push_back(number_at(*record, "transfers").value_or(0));
  }
  page.chart("What every rearrangement gained and cost",
             draw(BarChart{.x = {"step at which it was decided", Unit::kCount},
                           .y = {"time", Unit::kSeconds},
                           .categories = steps,
                           .series = std::move(seconds),
                           .base = 0}));
  page.chart("How much every rearrangement moved",
             draw(BarChart{.x = {"step at which it was decided", Unit::kCount},
                           .y = {"transfers", Unit::kCount},
                           .categories = steps,
                           .series = std::move(moved),
                           .base = 0}));
}

}  // namespace

void show_compare(HtmlPage& page, const Json& result) {
  const auto rows = rows_at(result, "rows");
  const std::string answer = text_at(result, "answer");
  if (!answer.empty()) {
    page.verdict(answer, {}, value_at(result, "best.tied_with").empty());
  }
  if (rows.empty()) return;
  page.chart("Balance against bytes: on the dashed line nobody is better for less",
             draw(compare_scatter(rows)));
  const IntervalChart intervals = intervals_of(
      rows, "difference",
      {fmt::format("balancedness minus that of {}", text_at(result, "reference")), Unit::kPlain},
      "more is better");
  if (!intervals.rows.empty()) {
    page.chart("Held-out windows, one by one: mean difference and 95 % interval", draw(intervals));
  }
  page.table(compare_table(rows));
}

void show_sweep(HtmlPage& page, const Json& result) {
  const auto rows = rows_at(result, "rows");
  const std::string answer = text_at(result, "answer");
  if (!answer.empty()) page.verdict(answer, {}, true_at(result, "best.certain"));
  if (!rows.empty()) {
    page.chart("Throughput against bytes: on the dashed line nobody is better for less",
               draw(sweep_scatter(rows)));
    page.chart("Behind the best: mean difference and 95 % interval; r ranks, s slots, @ interval",
               draw(behind_of(rows)));
    page.table(sweep_table(rows));
  }
  const auto refused = rows_at(result, "refused");
  if (!refused.empty()) page.table(refused_table(refused), true);
}

void show_simulate(HtmlPage& page, const Json& result) {
  std::vector<KeyFigure> figures;
  if (const auto share = number_at(result, "vs_static.throughput_ratio")) {
    figures.push_back(
        {"throughput", fmt::format("{:+.1f} %", (*share - 1) * 100), "against static"});
  }
  if (const auto share = number_at(result, "vs_static.p99_ratio")) {
    figures.push_back(
        {"p99 step time", fmt::format("{:+.1f} %", (*share - 1) * 100), "against static"});
  }
  add_figure(figures, "rearrangements",
             shown(number_at(result, "decisions.rearranged"), Unit::kCount),
             fmt::format("of {} decisions", labels_of({&result}, "decisions.due").front()));
  add_figure(figures, "moved", shown(sum_at(result, "bytes_by_link"), Unit::kBytes), "all links");
  add_figure(figures, "felt by serving",
             shown(number_at(result, "transfer_seconds.exposed"), Unit::kSeconds), "in all");
  add_figure(figures, "policy", text_at(result, "policy"),
             fmt::format("{}, every {} steps", text_at(result, "mode"),
                         labels_of({&result}, "interval_steps").front()));
  page.figures(figures);
  show_step_times(page, result);
  show_rearrangements(page, result);
}

}  // namespace moeshift::pages
