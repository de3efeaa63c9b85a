// SPDX-License-Identifier: Apache-2.0
// The page of diagnose.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/report/charts.hpp"
#include "moeshift/report/result_pages.hpp"

namespace moeshift::pages {
namespace {

std::vector<std::string> texts_of(const Json& list) {
  std::vector<std::string> texts;
  if (!list.is_array()) return texts;
  for (const Json& text : list) {
    if (text.is_string()) texts.push_back(text.get<std::string>());
  }
  return texts;
}

void show_verdict(HtmlPage& page, const Json& result) {
  std::string verdict = text_at(result, "advice.verdict");
  if (const auto interval = number_at(result, "advice.interval_steps")) {
    verdict += fmt::format(", every {} steps", in_unit(*interval, Unit::kCount));
  }
  if (!true_at(result, "advice.firm")) verdict += " (likely, not certain)";
  page.verdict("Verdict: " + verdict, texts_of(value_at(result, "advice.reasons")),
               true_at(result, "advice.firm"));
}

void show_figures(HtmlPage& page, const Json& result) {
  std::vector<KeyFigure> figures;
  const auto add = [&](const char* label, const char* path, Unit unit, const char* remark) {
    const auto value = number_at(result, path);
    if (value) figures.push_back({label, in_unit(*value, unit), remark});
  };
  add("saving", "advice.saving_share", Unit::kPercent, "of the step time, out of sample");
  add("imbalance now", "imbalance.ranks_now", Unit::kPlain, "busiest / mean rank");
  add("best possible", "imbalance.ranks_with_slots", Unit::kPlain, "with hindsight");
  add("noise floor", "imbalance.noise_floor", Unit::kPlain, "of one forward pass");
  add("dispersion", "drift.dispersion_median", Unit::kPlain, "1 = only sampling noise");
  const std::string phase = text_at(result, "phase.guess");
  if (!phase.empty()) {
    figures.push_back({"phase", phase, true_at(result, "phase.stated") ? "stated" : "a guess"});
  }
  page.figures(figures);
}

void show_backtest(HtmlPage& page, const Json& result) {
  const auto rows = rows_at(result, "backtest");
  if (rows.empty()) return;
  const double never = number_at(*rows.front(), "step_seconds.mean").value_or(0);
  IntervalChart chart{
      .x = {"saved of the step time", Unit::kPercent}, .rows = {}, .better = "more is better"};
  Table table{"", {"plan", "step mean", "p99", "rearranged", "moved", "lost to moving"}, {}};
  for (const Json* row : rows) {
    const std::string name = text_at(*row, "name");
    const auto saved = number_at(*row, "saving_seconds.mean");
    if (saved && never > 0) {
      const auto share = [&](const char* key) -> std::optional<double> {
        const auto value = number_at(*row, key);
        if (!value) return std::nullopt;
        return *value / never;
      };
      chart.rows.push_back({name, *saved / never, share("saving_seconds.low"),
                            share("saving_seconds.high"), true_at(*row, "saving_seconds.certain")});
    }
    table.rows.push_back({Cell::text(name),
                          cell_of(number_at(*row, "step_seconds.mean"), seconds_cell),
                          cell_of(number_at(*row, "step_seconds.p99"), seconds_cell),
                          cell_of(number_at(*row, "rearranged"), count_cell),
                          cell_of(sum_at(*row, "bytes_by_link"), bytes_cell),
                          cell_of(number_at(*row, "exposed_seconds"), seconds_cell)});
  }
  page.chart("Backtest, out of sample, costs of moving included: against never rebalancing",
             draw(chart));
  page.table(table);
}

void show_drift(HtmlPage& page, const Json& result) {
  const auto lags = rows_at(result, "drift.lags");
  if (lags.empty()) return;
  LineChart overlap{.x = {"recorded steps apart", Unit::kCount},
                    .y = {"share", Unit::kPercent},
                    .at = column_of(lags, "lag"),
                    .series = {{"hot experts that stay", column_of(lags, "hot_overlap")},
                               {"by chance", column_of(lags, "chance_overlap")},
                               {"tokens that change expert", column_of(lags, "variation")},
                               {"of that sampling", column_of(lags, "sampling_variation")}},
                    .even = true};
  page.chart("How long the traffic stays what it is", draw(overlap));
}

void show_layers(HtmlPage& page, const Json& result) {
  const auto layers = rows_at(result, "layers");
  if (layers.empty()) return;
  page.chart("Busiest over mean rank load, layer by layer, all steps together",
             draw(BarChart{.x = {"layer", Unit::kCount},
                           .y = {"max / mean rank load", Unit::kPlain},
                           .categories = labels_of(layers, "layer_id"),
                           .series = {{"now", column_of(layers, "ranks_now")},
                                      {"best possible", column_of(layers, "ranks_with_slots")}},
                           .base = 1}));
}

}  // namespace

void show_diagnose(HtmlPage& page, const Json& result) {
  show_verdict(page, result);
  show_figures(page, result);
  show_backtest(page, result);
  show_drift(page, result);
  show_layers(page, result);
  const auto evidence = texts_of(value_at(result, "phase.evidence"));
  if (!evidence.empty()) {
    page.paragraph(
        fmt::format("Phase: {} ({}).", text_at(result, "phase.guess"), fmt::join(evidence, "; ")));
  }
}

}  // namespace moeshift::pages
