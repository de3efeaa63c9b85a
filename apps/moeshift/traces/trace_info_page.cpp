// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/traces/trace_info_page.hpp"

#include <algorithm>
#include <tuple>

#include <fmt/format.h>

#include "moeshift/report/figures.hpp"

namespace moeshift::cli {
namespace {

constexpr std::size_t kMostPoints = 512;  // of a line; more steps are averaged

std::string layer_name(const TraceHeader& header, std::size_t layer) {
  return std::to_string(layer_id_of(header, layer));
}

/// Means of as many neighbours as make at most kMostPoints points, under the first one's number.
template <class Get>
void add_points(Chart& chart, std::size_t count, std::size_t first, Get get) {
  const std::size_t together = (count + kMostPoints - 1) / kMostPoints;
  for (std::size_t at = 0; at < count; at += together) {
    const std::size_t end = std::min(at + together, count);
    chart.data.rows.push_back(get(at, end));
    chart.data.rows.back().insert(chart.data.rows.back().begin(), Cell::count(at + first));
  }
}

template <class Items, class Get>
double mean_of(const Items& items, std::size_t from, std::size_t to, Get get) {
  double sum = 0;
  for (std::size_t i = from; i < to; ++i) sum += get(items[i]);
  return sum / static_cast<double>(to - from);
}

Chart load_chart(const std::vector<double>& step_loads) {
  Chart chart{.title = "Load, step by step",
              .draw = Draw::kLines,
              .data = {"", {"step", figure("assignments")}, {}},
              .x = "recorded step",
              .y = "assignments, all layers"};
  if (step_loads.size() < 2) return chart;
  add_points(chart, step_loads.size(), 0, [&](std::size_t from, std::size_t to) {
    return std::vector<Cell>{
        Cell::decimal(mean_of(step_loads, from, to, [](double load) { return load; }), 0)};
  });
  return chart;
}

Chart drift_chart(const TraceStatistics& statistics) {
  Chart chart{.title = "Change from step to step, mean over layers",
              .draw = Draw::kLines,
              .data = {"", {"step", figure("variation"), figure("hot_overlap")}, {}},
              .x = "recorded step",
              .y = "share"};
  add_points(chart, statistics.drift.size(), 1, [&](std::size_t from, std::size_t to) {
    const auto& drift = statistics.drift;
    return std::vector<Cell>{
        Cell::percent(mean_of(drift, from, to, [](const StepDrift& d) { return d.variation; }), 1),
        Cell::percent(mean_of(drift, from, to, [](const StepDrift& d) { return d.hot_overlap; }),
                      1)};
  });
  return chart;
}

Chart layer_chart(const TraceHeader& header, const TraceStatistics& statistics) {
  Chart chart{.title = "Hottest over mean expert, layer by layer",
              .draw = Draw::kBars,
              .data = {"",
                       {"layer", Column("all steps together", figure("imbalance")),
                        Column("of one step, mean", figure("step_imbalance"))},
                       {}},
              .x = "layer",
              .y = "hottest / mean expert",
              .base = 1};
  for (std::size_t i = 0; i < statistics.layers.size(); ++i) {
    const LayerStatistics& layer = statistics.layers[i];
    chart.data.rows.push_back({Cell::text(layer_name(header, i)), Cell::decimal(layer.imbalance, 3),
                               Cell::decimal(layer.step_imbalance, 3)});
  }
  return chart;
}

/// Load of every expert over its layer's mean.
HeatMap expert_map(const TraceHeader& header, const TraceStatistics& statistics) {
  HeatMap map{.title = "Load of every expert, layer by layer",
              .rows = "layer",
              .columns = "expert",
              .value = "load / mean",
              .style = {Unit::kPlain, 2}};
  for (std::size_t e = 0; e < header.num_experts; ++e)
    map.column_names.push_back(std::to_string(e));
  for (std::size_t i = 0; i < statistics.layers.size(); ++i) {
    const LayerStatistics& layer = statistics.layers[i];
    const double mean = layer.tokens / static_cast<double>(header.num_experts);
    std::vector<double> row;
    for (const double load : layer.expert_load) row.push_back(mean > 0 ? load / mean : 0);
    map.row_names.push_back(layer_name(header, i));
    map.values.push_back(std::move(row));
  }
  return map;
}

Detail hottest(const TraceHeader& header, const TraceStatistics& statistics) {
  constexpr std::size_t kShown = 30;
  std::vector<std::tuple<double, std::size_t, std::size_t>> hot;  // - load / mean, layer, expert
  for (std::size_t i = 0; i < statistics.layers.size(); ++i) {
    const LayerStatistics& layer = statistics.layers[i];
    const double mean = layer.tokens / static_cast<double>(header.num_experts);
    for (std::size_t e = 0; e < layer.expert_load.size() && mean > 0; ++e) {
      hot.emplace_back(-layer.expert_load[e] / mean, i, e);
    }
  }
  const std::size_t shown = std::min(kShown, hot.size());
  std::partial_sort(hot.begin(), hot.begin() + static_cast<std::ptrdiff_t>(shown), hot.end());
  Detail detail{{"The hottest experts", {"layer", "expert", "times the mean"}, {}}};
  for (std::size_t i = 0; i < shown; ++i) {
    const auto& [load, layer, expert] = hot[i];
    detail.table.rows.push_back(
        {Cell::text(layer_name(header, layer)), Cell::count(expert), Cell::decimal(-load, 2)});
  }
  return detail;
}

Tiles tiles_of(const TraceStatistics& statistics) {
  const auto mean = [&](auto get) {
    return mean_of(statistics.layers, 0, statistics.layers.size(), get);
  };
  Tiles tiles{{{"steps", Cell::count(statistics.num_steps), ""}}};
  if (statistics.tokens)
    tiles.items.push_back({"tokens", Cell::decimal(*statistics.tokens, 0), ""});
  tiles.items.push_back({"imbalance of experts",
                         Cell::decimal(mean([](const auto& l) { return l.imbalance; }), 2),
                         "hottest / mean, all steps together"});
  tiles.items.push_back(
      {"gini", Cell::decimal(mean([](const auto& l) { return l.gini; }), 3), "0 = even"});
  tiles.items.push_back({"change per step",
                         Cell::percent(mean([](const auto& l) { return l.step_variation; }), 1),
                         "tokens that change expert"});
  tiles.items.push_back({"hot experts that stay",
                         Cell::percent(mean([](const auto& l) { return l.step_hot_overlap; }), 0),
                         fmt::format("of {}, step to step", statistics.hot_set)});
  return tiles;
}

}  // namespace

void add_trace_page(const TraceHeader& header, const TraceStatistics& statistics,
                    const std::vector<double>& step_loads, Report& report) {
  report.add(tiles_of(statistics));
  report.add(load_chart(step_loads));
  report.add(drift_chart(statistics));
  report.add(layer_chart(header, statistics));
  report.add(expert_map(header, statistics));
  report.add(hottest(header, statistics));
}

}  // namespace moeshift::cli
