// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/serving/diagnose_page.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "moeshift/report/figures.hpp"

namespace moeshift::cli {
namespace {

std::string layer_name(const Findings& findings, std::size_t layer) {
  return std::to_string(layer_id_of(findings.header, layer));
}

double mean_over_layers(const Findings& findings, double LayerOutlook::* figure) {
  double sum = 0;
  for (const LayerOutlook& layer : findings.layers) sum += layer.*figure;
  return findings.layers.empty() ? 0 : sum / static_cast<double>(findings.layers.size());
}

Tiles tiles_of(const Findings& findings) {
  const auto tile = [](const FigureValue& one, std::string remark) {
    return Tile{std::string(one.figure->label), one.cell(), std::move(remark)};
  };
  Tiles tiles;
  const Diagnosis& diagnosis = findings.diagnosis;
  if (diagnosis.lane && !findings.lanes.empty()) {
    const double share = diagnosis.outcomes[*diagnosis.lane - 1].saving.mean /
                         findings.lanes.front().blocks.mean().count();
    tiles.items.push_back(tile(figure("saving_share")(share), "of the step time, out of sample"));
  }
  tiles.items.push_back({"imbalance now",
                         figure("ranks_now")(mean_over_layers(findings, &LayerOutlook::now)),
                         "busiest / mean rank"});
  tiles.items.push_back(
      {"best possible",
       figure("ranks_with_slots")(mean_over_layers(findings, &LayerOutlook::with_slots)),
       "with hindsight"});
  tiles.items.push_back(tile(figure("noise_floor")(findings.noise_floor), "of one forward pass"));
  tiles.items.push_back({"phase", Cell::text(std::string(name_of(findings.phase.phase))),
                         findings.phase.stated ? "stated" : "a guess"});
  return tiles;
}

Chart savings(const Findings& findings) {
  Chart chart{
      .title = "Backtest, out of sample, costs of moving included: against never rebalancing",
      .draw = Draw::kIntervals,
      .data = {"", {"plan", "saves", "low", "high"}, {}},
      .x = "saved of the step time: more is better"};
  if (findings.lanes.empty()) return chart;
  const double never = findings.lanes.front().blocks.mean().count();
  for (std::size_t i = 1; i < findings.lanes.size() && never > 0; ++i) {
    const PairedDifference& saving = findings.diagnosis.outcomes[i - 1].saving;
    const bool known = saving.method != IntervalMethod::kNone;
    chart.data.rows.push_back({Cell::text(findings.lanes[i].name),
                               Cell::percent(saving.mean / never, 2),
                               known ? Cell::percent(saving.low / never, 2) : Cell::empty(),
                               known ? Cell::percent(saving.high / never, 2) : Cell::empty()});
  }
  return chart;
}

Chart drift(const Findings& findings) {
  Chart chart{.title = "How long the traffic stays what it is",
              .draw = Draw::kLines,
              .data = {"",
                       {"steps apart", figure("hot_overlap"), figure("chance_overlap"),
                        figure("variation"), figure("sampling_variation")},
                       {}},
              .x = "recorded steps apart",
              .y = "share"};
  for (const LagDrift& lag : findings.drift.lags) {
    chart.data.rows.push_back({Cell::count(lag.lag), Cell::percent(lag.hot_overlap),
                               Cell::percent(lag.chance_overlap), Cell::percent(lag.variation),
                               Cell::percent(lag.sampling_variation)});
  }
  return chart;
}

Chart layers(const Findings& findings) {
  Chart chart{
      .title = "Busiest over mean rank load, layer by layer, all steps together",
      .draw = Draw::kBars,
      .data = {"",
               {"layer", figure("ranks_now"), figure("ranks_with_slots"), figure("lower_bound")},
               {}},
      .x = "layer",
      .y = "max / mean rank load",
      .base = 1};
  for (std::size_t i = 0; i < findings.layers.size(); ++i) {
    const LayerOutlook& layer = findings.layers[i];
    chart.data.rows.push_back({Cell::text(layer_name(findings, i)), figure("ranks_now")(layer.now),
                               figure("ranks_with_slots")(layer.with_slots),
                               Cell::decimal(layer.lower_bound, 3)});
  }
  return chart;
}

}  // namespace

void add_diagnose_page(const Findings& findings, Report& report) {
  report.about("trace", findings.header.model);
  report.add(tiles_of(findings));
  report.add(savings(findings));
  report.add(drift(findings));
  report.add(layers(findings));
}

}  // namespace moeshift::cli
