// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/compare/compare_page.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "moeshift/report/figures.hpp"

namespace moeshift::cli {
namespace {

Bytes all_bytes(const ComparisonRow& row) {
  return Bytes(
      std::llround(std::accumulate(row.bytes_by_link.begin() + 1, row.bytes_by_link.end(), 0.0)));
}

Tiles tiles_of(const std::vector<ComparisonRow>& rows, const Standings& standings,
               std::size_t layers) {
  const ComparisonRow& best = rows[standings.best];
  const ComparisonRow& reference = rows[standings.reference];
  const double moves = best.transfers / static_cast<double>(layers);
  return {{{"best", Cell::text(best.name()), fmt::format("of {}", rows.size())},
           {"balancedness, held out", figure("balancedness_mean")(best.mean_score()),
            fmt::format("{}: {:.4f}", reference.name(), reference.mean_score())},
           {"worst window", figure("balancedness_worst")(best.worst_score()),
            fmt::format("of {}", best.scores.size())},
           {"moves per layer", figure("transfers_per_layer")(moves), "replicas that arrive"},
           {"planning", Cell::seconds(best.planning), "of the best"}}};
}

/// Better is up and to the left.
Chart tradeoff(const std::vector<ComparisonRow>& rows, const Standings& standings,
               std::size_t layers, bool with_bytes) {
  Chart chart{
      .title = "Balance against what it takes: on the dashed line nobody is better for less",
      .draw = Draw::kScatter,
      .data = {"",
               {"policy",
                with_bytes ? Column(figure("bytes_by_link"))
                           : Column(figure("transfers_per_layer")),
                figure("balancedness_mean"), "pareto"},
               {}},
      .x = with_bytes ? "bytes that move between ranks" : "transfers per layer",
      .y = "balancedness, held out",
      .most = 1.0};
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const double per_layer = rows[i].transfers / static_cast<double>(layers);
    chart.data.rows.push_back({Cell::text(rows[i].name()),
                               with_bytes ? Cell::bytes(all_bytes(rows[i]))
                                          : figure("transfers_per_layer")(per_layer).cell(),
                               figure("balancedness_mean")(rows[i].mean_score()),
                               Cell::text(standings.pareto[i] ? "*" : "")});
  }
  return chart;
}

Chart gains(const std::vector<ComparisonRow>& rows, const Standings& standings) {
  Chart chart{.title = "Held-out windows, one by one: mean gain and 95 % interval",
              .draw = Draw::kIntervals,
              .data = {"", {"policy", "gain", "low", "high"}, {}},
              .x = fmt::format("balancedness minus that of {}: more is better",
                               rows[standings.reference].name())};
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const PairedDifference& gain = standings.differences[i];
    const bool known = gain.method != IntervalMethod::kNone;
    chart.data.rows.push_back({Cell::text(rows[i].name()), Cell::decimal(gain.mean, 4),
                               known ? Cell::decimal(gain.low, 4) : Cell::empty(),
                               known ? Cell::decimal(gain.high, 4) : Cell::empty()});
  }
  return chart;
}

/// Only where there are several windows: a line per policy.
Chart windows(const std::vector<ComparisonRow>& rows) {
  Chart chart{.title = "Balancedness of every held-out window",
              .draw = Draw::kLines,
              .data = {"", {"window"}, {}},
              .x = "held-out window",
              .y = "balancedness",
              .most = 1.0};
  for (const ComparisonRow& row : rows)
    chart.data.columns.emplace_back(row.name(), figure("balancedness"));
  const std::size_t count = rows.front().scores.size();
  for (std::size_t w = 0; count > 1 && w < count; ++w) {
    std::vector<Cell> cells = {Cell::count(w)};
    for (const ComparisonRow& row : rows) cells.push_back(figure("balancedness")(row.scores[w]));
    chart.data.rows.push_back(std::move(cells));
  }
  return chart;
}

}  // namespace

void add_compare_page(const std::vector<ComparisonRow>& rows, const Standings& standings,
                      std::size_t layers, bool with_bytes, Report& report) {
  report.add(tiles_of(rows, standings, layers));
  report.add(tradeoff(rows, standings, layers, with_bytes));
  report.add(gains(rows, standings));
  report.add(windows(rows));
}

}  // namespace moeshift::cli
