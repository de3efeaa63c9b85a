// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/moves/moves_page.hpp"

#include <array>
#include <utility>

#include <fmt/format.h>

#include "moeshift/report/figures.hpp"

#include "apps/moeshift/moves/moves_report.hpp"

namespace moeshift::cli {
namespace {

constexpr std::array kPortClasses = {LinkClass::kIntraNode, LinkClass::kInterNode,
                                     LinkClass::kInterRack};
constexpr std::size_t kMostShown = 128;  // ranks of a map; more are summed by neighbours

std::string in_words(LinkClass link) {
  if (link == LinkClass::kInterRack) return "between racks";
  return link == LinkClass::kInterNode ? "between nodes" : "inside nodes";
}

Tile tile(const FigureValue& one, std::string remark) {
  return {std::string(one.figure->label), one.cell(), std::move(remark)};
}

Tiles tiles_of(const TransferPlan& plan, const TransferCost& cost) {
  const TransferTotals totals = totals_of(plan);
  Tiles tiles{{tile(figure("transfers")(totals.transfers),
                    fmt::format("and {} copies inside ranks", totals.local_copies))}};
  for (const LinkClass link : kPortClasses) {
    const std::size_t i = static_cast<std::size_t>(link);
    if (totals.transfers_by_link[i] == 0) continue;
    tiles.items.push_back({in_words(link), Cell::bytes(totals.bytes_by_link[i]),
                           fmt::format("{} transfers", totals.transfers_by_link[i])});
  }
  tiles.items.push_back(tile(figure("rounds")(totals.rounds), "all layers"));
  tiles.items.push_back(
      {"predicted", Cell::seconds(cost.total), "connecting, staging and committing"});
  tiles.items.push_back({"felt by inference", Cell::seconds(cost.exposed), "predicted"});
  tiles.items.push_back(tile(figure("staging_bytes_per_rank")(most_staging(plan)), ""));
  return tiles;
}

HeatMap traffic_map(const TransferPlan& plan) {
  HeatMap map{.title = "Who sends to whom, all layers together",
              .rows = "from rank",
              .columns = "to rank",
              .value = "bytes",
              .style = {Unit::kBytes, 0}};
  const IdMatrix<RankId, RankId, Bytes> traffic = traffic_of(plan);
  for (const RankId source : traffic.row_ids()) {
    std::vector<double> row;
    for (const Bytes bytes : traffic.row(source)) row.push_back(static_cast<double>(bytes.count()));
    map.row_names.push_back(std::to_string(source.value()));
    map.values.push_back(std::move(row));
  }
  map.column_names = map.row_names;
  return summed_to(std::move(map), kMostShown);
}

Chart by_layer(std::string title, Draw draw, std::vector<Column> columns, std::string unit) {
  return {.title = std::move(title),
          .draw = draw,
          .data = {"", std::move(columns), {}},
          .x = draw == Draw::kStacked ? unit : "layer",
          .y = unit};
}

Cell layer_cell(const TransferPlan& plan, std::size_t i) {
  return Cell::text(std::to_string(plan.layers[i].layer.value()));
}

Chart rounds_chart(const TransferPlan& plan) {
  Chart chart =
      by_layer("Rounds, layer by layer", Draw::kBars, {"layer", figure("rounds")}, "rounds");
  for (std::size_t i = 0; i < plan.layers.size(); ++i) {
    chart.data.rows.push_back({layer_cell(plan, i), figure("rounds")(totals_of(plan, i).rounds)});
  }
  return chart;
}

Chart times_chart(const TransferPlan& plan, const TransferCost& cost) {
  Chart chart = by_layer("Predicted time, layer by layer", Draw::kBars,
                         {"layer", figure("stage"), figure("vote"), figure("commit")}, "time");
  for (std::size_t i = 0; i < plan.layers.size(); ++i) {
    const LayerCost& layer = cost.layers[i];
    chart.data.rows.push_back({layer_cell(plan, i), figure("stage")(layer.stage),
                               figure("vote")(layer.vote), figure("commit")(layer.commit)});
  }
  return chart;
}

Chart bytes_chart(const TransferPlan& plan) {
  Chart chart = by_layer("Bytes by class of link, layer by layer", Draw::kBars, {"layer"}, "bytes");
  for (const LinkClass link : kPortClasses) chart.data.columns.emplace_back(in_words(link));
  for (std::size_t i = 0; i < plan.layers.size(); ++i) {
    const TransferTotals totals = totals_of(plan, i);
    std::vector<Cell> row = {layer_cell(plan, i)};
    for (const LinkClass link : kPortClasses) {
      row.push_back(Cell::bytes(totals.bytes_by_link[static_cast<std::size_t>(link)]));
    }
    chart.data.rows.push_back(std::move(row));
  }
  return chart;
}

}  // namespace

void add_moves_page(const TransferPlan& plan, const TransferCost& cost, Report& report) {
  report.add(tiles_of(plan, cost));
  report.add(traffic_map(plan));
  report.add(bytes_chart(plan));
  report.add(rounds_chart(plan));
  report.add(times_chart(plan, cost));
}

Chart against_chart(const AgainstPeer& against) {
  Chart chart{.title = fmt::format("From {} to this plan, feature by feature", against.peer),
              .draw = Draw::kWaterfall,
              .data = {"", {"feature", "time"}, {}},
              .x = "predicted time",
              .y = ""};
  Seconds before;
  for (const FeatureStep& step : against.steps) {
    chart.data.rows.push_back({Cell::text(step.feature), Cell::seconds(step.total - before)});
    before = step.total;
  }
  chart.data.rows.push_back({Cell::text("this plan"), Cell::seconds(before)});
  return chart;
}

}  // namespace moeshift::cli
