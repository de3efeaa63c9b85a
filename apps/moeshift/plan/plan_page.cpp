// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/plan/plan_page.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/plan/layer_problem.hpp"
#include "moeshift/report/figures.hpp"

#include "apps/moeshift/inputs/plan_shape.hpp"

namespace moeshift::cli {
namespace {

std::string layer_name(const PlanAnswer& answer, LayerId layer) {
  return std::to_string(layer_id_of(answer.trace, layer.index()));
}

double busiest(const RankLoads& loads, LayerId layer) {
  const auto row = loads.row(layer);
  return *std::max_element(row.begin(), row.end());
}

/// Ranks that hold anything.
std::size_t serving_ranks(const PlanAnswer& answer) {
  return answer.problem.topology.ranks() - answer.problem.inactive.size();
}

double mean_of(const PlanAnswer& answer, const RankLoads& loads, LayerId layer) {
  const auto row = loads.row(layer);
  return std::accumulate(row.begin(), row.end(), 0.0) / static_cast<double>(serving_ranks(answer));
}

/// Busiest over mean rank, so that layers of any load compare.
Cell over_mean(double load, double mean) {
  return mean > 0 ? Cell::decimal(load / mean, 4) : Cell::empty();
}

Chart layers_chart(const PlanAnswer& answer, const RankLoads& loads, std::span<const double> bounds,
                   const std::optional<BeforeAfter>& before) {
  Chart chart{.title = "Busiest rank over mean, layer by layer",
              .draw = Draw::kBars,
              .data = {"", {"layer"}, {}},
              .x = "layer",
              .y = "busiest / mean rank load",
              .base = 1};
  if (before && before->before) chart.data.columns.emplace_back(before->name);
  chart.data.columns.emplace_back("planned");
  chart.data.columns.emplace_back("lower bound");
  for (const LayerId layer : loads.row_ids()) {
    const double mean = mean_of(answer, loads, layer);
    std::vector<Cell> row = {Cell::text(layer_name(answer, layer))};
    if (before && before->before) row.push_back(over_mean(busiest(*before->before, layer), mean));
    row.push_back(over_mean(busiest(loads, layer), mean));
    row.push_back(over_mean(std::max(bounds[layer.index()], mean), mean));
    chart.data.rows.push_back(std::move(row));
  }
  return chart;
}

HeatMap rank_map(const PlanAnswer& answer, const RankLoads& loads) {
  HeatMap map{.title = "Load of every rank, layer by layer",
              .rows = "layer",
              .columns = "rank",
              .value = "load / mean",
              .style = {Unit::kPlain, 2}};
  for (const RankId rank : loads.column_ids())
    map.column_names.push_back(std::to_string(rank.value()));
  for (const LayerId layer : loads.row_ids()) {
    const double mean = mean_of(answer, loads, layer);
    std::vector<double> row;
    for (const double load : loads.row(layer)) row.push_back(mean > 0 ? load / mean : 1);
    map.row_names.push_back(layer_name(answer, layer));
    map.values.push_back(std::move(row));
  }
  return map;
}

/// The experts with the largest share of their layer, and how many ranks share their work.
Detail hottest_experts(const PlanAnswer& answer) {
  constexpr std::size_t kShown = 30;
  struct Hot {
    LayerId layer;
    ExpertId expert;
    double share = 0;
  };
  std::vector<Hot> hot;
  const LoadMatrix& load = answer.problem.load;
  for (const LayerId layer : load.row_ids()) {
    const double total = layer_total(load, layer);
    for (const ExpertId expert : load.column_ids()) {
      if (total > 0) hot.push_back({layer, expert, load(layer, expert) / total});
    }
  }
  const std::size_t shown = std::min(kShown, hot.size());
  std::partial_sort(hot.begin(), hot.begin() + static_cast<std::ptrdiff_t>(shown), hot.end(),
                    [](const Hot& a, const Hot& b) {
                      return std::tie(b.share, a.layer, a.expert) <
                             std::tie(a.share, b.layer, b.expert);
                    });
  Detail detail{{"The hottest experts and their replicas",
                 {"layer", "expert", "share of the layer's load", "times the mean", "replicas"},
                 {}}};
  for (std::size_t i = 0; i < shown; ++i) {
    const auto& [layer, expert, share] = hot[i];
    detail.table.rows.push_back(
        {Cell::text(layer_name(answer, layer)), Cell::count(std::size_t{expert.value()}),
         Cell::percent(share, 2),
         Cell::decimal(share * static_cast<double>(answer.problem.experts()), 1),
         Cell::count(std::size_t{answer.plan.placement.replica_counts(layer)[expert.index()]})});
  }
  return detail;
}

Tiles tiles_of(const PlanAnswer& answer, const Balance& balance,
               const std::optional<BeforeAfter>& before) {
  const bool known = before && before->before;
  const auto was = [&](const FigureValue& one) {
    return known ? fmt::format("{}: {}", before->name, one.cell().shown) : std::string();
  };
  const Balance old = known ? balance_of(*before->before, serving_ranks(answer)) : Balance();
  const auto kept = std::count_if(answer.plan.layers.begin(), answer.plan.layers.end(),
                                  [](const LayerVerdict& layer) { return layer.keep; });
  const auto tile = [](const FigureValue& one, std::string remark) {
    return Tile{std::string(one.figure->label), one.cell(), std::move(remark)};
  };
  return {{tile(figure("balancedness")(balance.balancedness),
                was(figure("balancedness")(old.balancedness))),
           tile(figure("imbalance")(balance.imbalance), was(figure("imbalance")(old.imbalance))),
           tile(figure("gap_max")(balance.gap_max), "no plan is better than the bound"),
           tile(figure("peak_load")(balance.peak_load), was(figure("peak_load")(old.peak_load))),
           {"layers kept", Cell::count(std::int64_t{kept}),
            fmt::format("of {}", answer.plan.layers.size())},
           tile(figure("plan_seconds")(answer.times.plan), answer.policy)}};
}

}  // namespace

void add_plan_page(const PlanAnswer& answer, const RankLoads& loads, std::span<const double> bounds,
                   Report& report) {
  const std::optional<BeforeAfter>& before = answer.change;
  report.about("trace", answer.trace.model);
  report.add(tiles_of(answer, balance_of(loads, serving_ranks(answer), bounds), before));
  report.add(layers_chart(answer, loads, bounds, before));
  report.add(rank_map(answer, loads));
  report.add(hottest_experts(answer));
}

}  // namespace moeshift::cli
