// SPDX-License-Identifier: Apache-2.0
// Pages of plan, moves and execute.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/report/charts.hpp"
#include "moeshift/report/result_pages.hpp"

namespace moeshift::pages {
namespace {

Cell percent_cell(double share) {
  return Cell::percent(share, 2);
}

Series series_of(const std::string& name, const std::vector<const Json*>& rows,
                 std::string_view key) {
  Series series{name, column_of(rows, key)};
  for (double& value : series.values) value = std::isfinite(value) ? value : 0;
  return series;
}

std::vector<std::vector<double>> matrix_of(const Json& value) {
  std::vector<std::vector<double>> matrix;
  if (!value.is_array()) return matrix;
  for (const Json& row : value) {
    if (!row.is_array()) return {};
    std::vector<double> numbers;
    for (const Json& number : row) numbers.push_back(number.is_number() ? number.get<double>() : 0);
    if (!matrix.empty() && matrix.front().size() != numbers.size()) return {};
    matrix.push_back(std::move(numbers));
  }
  return matrix;
}

/// [experts] slots of a layer that hold each expert; none when the row is no map.
std::vector<std::size_t> replicas_of(const Json& row) {
  std::vector<std::size_t> counts;
  if (!row.is_array()) return counts;
  for (const Json& expert : row) {
    if (!expert.is_number_integer() || expert.get<std::int64_t>() < 0) continue;
    const auto index = static_cast<std::size_t>(expert.get<std::int64_t>());
    constexpr std::size_t kSane = 1U << 20U;
    if (index >= kSane) return {};
    if (counts.size() <= index) counts.resize(index + 1);
    ++counts[index];
  }
  return counts;
}

std::size_t most_replicas(const Json& result) {
  std::size_t most = 0;
  const Json& map = value_at(result, "placement.physical_to_logical");
  if (!map.is_array()) return 0;
  for (const Json& row : map) {
    for (const std::size_t count : replicas_of(row)) most = std::max(most, count);
  }
  return most;
}

Table layer_table(const std::vector<const Json*>& layers) {
  Table table{"Every layer", {"layer", "imbalance", "gap to the bound", "decision"}, {}};
  for (const Json* layer : layers) {
    table.rows.push_back({cell_of(number_at(*layer, "layer"), count_cell),
                          cell_of(number_at(*layer, "imbalance"), four_digits),
                          cell_of(number_at(*layer, "gap"), percent_cell),
                          Cell::text(true_at(*layer, "keep") ? "keep" : "move")});
  }
  return table;
}

/// Measured above predicted, phase by phase, one after another.
StackedChart strip_of(const Json& result) {
  StackedChart strip{.x = {"time, phases one after another", Unit::kSeconds},
                     .parts = {"connection", "stage", "commit"},
                     .rows = {}};
  for (const char* which : {"measured_seconds", "predicted_seconds"}) {
    StackedRow row{.label = std::string(which).substr(0, std::string(which).find('_')),
                   .parts = {}};
    for (const std::string& part : strip.parts) {
      row.parts.push_back(number_at(result, fmt::format("{}.{}", which, part)).value_or(0));
    }
    strip.rows.push_back(std::move(row));
  }
  return strip;
}

/// The layers in the order in which they went.
StackedChart layer_strip(const std::vector<const Json*>& layers, std::string_view which) {
  StackedChart strip{
      .x = {"time per layer", Unit::kSeconds}, .parts = {"stage", "vote", "commit"}, .rows = {}};
  constexpr std::size_t kMostRows = 64;
  for (std::size_t i = 0; i < std::min(layers.size(), kMostRows); ++i) {
    StackedRow row{.label = "layer " + labels_of({layers[i]}, "layer").front(), .parts = {}};
    for (const std::string& part : strip.parts) {
      row.parts.push_back(number_at(*layers[i], fmt::format("{}.{}", which, part)).value_or(0));
    }
    strip.rows.push_back(std::move(row));
  }
  return strip;
}

Table times_table(const Json& result) {
  Table table{"", {"time", "measured", "predicted", "measured / predicted"}, {}};
  for (const char* phase : {"connection", "stage", "commit", "exposed", "total"}) {
    const auto measured = number_at(result, fmt::format("measured_seconds.{}", phase));
    const auto predicted = number_at(result, fmt::format("predicted_seconds.{}", phase));
    const bool both = measured && predicted && *predicted > 0;
    table.rows.push_back({Cell::text(phase), cell_of(measured, seconds_cell),
                          cell_of(predicted, seconds_cell),
                          both ? Cell::decimal(*measured / *predicted, 2) : Cell::empty()});
  }
  return table;
}

}  // namespace

void show_plan(HtmlPage& page, const Json& result) {
  const auto layers = rows_at(result, "layers");
  std::vector<KeyFigure> figures;
  add_figure(figures, "balancedness",
             shown(number_at(result, "metrics.balancedness"), Unit::kPlain),
             "mean / busiest rank, mean over layers");
  add_figure(figures, "gap to the bound",
             shown(number_at(result, "metrics.gap_mean"), Unit::kPercent), "mean over layers");
  add_figure(figures, "worst layer", shown(number_at(result, "metrics.gap_max"), Unit::kPercent),
             "above the bound");
  if (const std::size_t most = most_replicas(result); most > 0) {
    figures.push_back({"most replicas", std::to_string(most), "of one expert in a layer"});
  }
  add_figure(figures, "planning", shown(number_at(result, "plan_seconds"), Unit::kSeconds),
             text_at(result, "policy"));
  page.figures(figures);
  if (layers.empty()) return;
  page.chart("Busiest rank over mean rank load, layer by layer",
             draw(BarChart{.x = {"layer", Unit::kCount},
                           .y = {"max / mean rank load", Unit::kPlain},
                           .categories = labels_of(layers, "layer"),
                           .series = {series_of("imbalance", layers, "imbalance")},
                           .base = 1}));
  page.chart("How far above what no placement can beat",
             draw(BarChart{.x = {"layer", Unit::kCount},
                           .y = {"gap to the lower bound", Unit::kPercent},
                           .categories = labels_of(layers, "layer"),
                           .series = {series_of("gap", layers, "gap")},
                           .base = 0}));
  page.table(layer_table(layers), true);
}

void show_moves(HtmlPage& page, const Json& result) {
  const auto layers = rows_at(result, "layers");
  std::vector<KeyFigure> figures;
  add_figure(figures, "transfers", shown(number_at(result, "totals.transfers"), Unit::kCount),
             "experts sent from rank to rank");
  add_figure(figures, "between nodes",
             shown(number_at(result, "totals.bytes_by_link.inter_node"), Unit::kBytes));
  add_figure(figures, "inside nodes",
             shown(number_at(result, "totals.bytes_by_link.intra_node"), Unit::kBytes));
  add_figure(figures, "rounds", shown(number_at(result, "totals.rounds"), Unit::kCount),
             "one send, one receive per rank");
  add_figure(figures, "predicted",
             shown(number_at(result, "totals.predicted_seconds.total"), Unit::kSeconds),
             "wall time");
  add_figure(figures, "felt by inference",
             shown(number_at(result, "totals.predicted_seconds.exposed"), Unit::kSeconds));
  page.figures(figures);
  const auto traffic = matrix_of(value_at(result, "traffic_bytes"));
  if (!traffic.empty()) {
    HeatMap map;
    map.rows = "from rank";
    map.columns = "to rank";
    map.value = {"bytes", Unit::kBytes};
    map.values = traffic;
    page.chart("Who sends to whom, all layers together", draw(map));
  }
  if (layers.empty()) return;
  page.chart("Rounds, layer by layer",
             draw(BarChart{.x = {"layer", Unit::kCount},
                           .y = {"rounds", Unit::kCount},
                           .categories = labels_of(layers, "layer"),
                           .series = {series_of("rounds", layers, "rounds")},
                           .base = 0}));
  page.chart("Predicted time, layer by layer",
             draw(BarChart{.x = {"layer", Unit::kCount},
                           .y = {"time", Unit::kSeconds},
                           .categories = labels_of(layers, "layer"),
                           .series = {series_of("stage", layers, "predicted_seconds.stage"),
                                      series_of("commit", layers, "predicted_seconds.commit")},
                           .base = 0}));
}

void show_execute(HtmlPage& page, const Json& result) {
  const auto layers = rows_at(result, "layers");
  const bool verified = true_at(result, "verified");
  page.verdict(verified ? "Every byte arrived: verified on every rank"
                        : "NOT verified: the move failed or bytes are wrong",
               {}, verified);
  std::vector<KeyFigure> figures;
  add_figure(figures, "measured",
             shown(number_at(result, "measured_seconds.total"), Unit::kSeconds),
             "first byte to last commit");
  add_figure(figures, "predicted",
             shown(number_at(result, "predicted_seconds.total"), Unit::kSeconds));
  add_figure(figures, "felt by inference",
             shown(number_at(result, "measured_seconds.exposed"), Unit::kSeconds), "measured");
  if (const auto rate = number_at(result, "payload_bytes_per_second")) {
    figures.push_back({"payload", human(BytesPerSecond(*rate)), "every byte once"});
  }
  add_figure(figures, "transport", text_at(result, "transport"), text_at(result, "mode"));
  page.figures(figures);
  page.chart("Measured above predicted", draw(strip_of(result)));
  page.table(times_table(result));
  if (layers.empty()) return;
  page.chart("Measured, layer by layer", draw(layer_strip(layers, "measured_seconds")));
  page.chart("Staging one layer, measured beside predicted",
             draw(BarChart{.x = {"layer", Unit::kCount},
                           .y = {"stage", Unit::kSeconds},
                           .categories = labels_of(layers, "layer"),
                           .series = {series_of("measured", layers, "measured_seconds.stage"),
                                      series_of("predicted", layers, "predicted_seconds.stage")},
                           .base = 0}));
}

}  // namespace moeshift::pages
