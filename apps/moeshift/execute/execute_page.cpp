// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/execute/execute_page.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "moeshift/report/figures.hpp"

#include "apps/moeshift/execute/execute_timeline.hpp"

namespace moeshift::cli {
namespace {

Seconds all_votes(const TransferCost& cost) {
  Seconds votes;
  for (const LayerCost& layer : cost.layers) votes += layer.vote;
  return votes;
}

Tiles tiles_of(const Execution& execution) {
  const Seconds total = execution.longest(&RankTimes::total);
  const Seconds exposed = execution.longest(&RankTimes::exposed);
  const auto against = [](Seconds predicted) {
    return fmt::format("predicted: {}", human(predicted));
  };
  Tiles tiles{{{"measured", Cell::seconds(total), against(execution.predicted.total)},
               {"felt by inference", Cell::seconds(exposed), against(execution.predicted.exposed)},
               {"wrong bytes",
                figure("mismatched_bytes")(static_cast<std::int64_t>(execution.mismatched_bytes())),
                execution.verified() ? "every byte verified" : "NOT verified"}}};
  const Bytes payload_bytes = moved(*execution.job->plan).written;
  if (total.count() > 0) {
    tiles.items.push_back({"written", Cell::rate(payload_bytes / total), "over all ranks"});
  }
  tiles.items.push_back({"transport", Cell::text(execution.transport), execution.mode});
  return tiles;
}

/// Two bars, measured above predicted, phases one after another.
Chart strip(const Execution& execution) {
  const TransferCost& cost = execution.predicted;
  const Seconds votes = all_votes(cost);
  const auto seconds = [](Seconds time) { return Cell::seconds(time); };
  return {.title = "Measured above predicted, phases one after another",
          .draw = Draw::kStacked,
          .data = {"",
                   {"", figure("connection"), figure("stage"),
                    Column("vote and commit", figure("commit"))},
                   {{Cell::text("measured"), seconds(execution.longest(&RankTimes::connect)),
                     seconds(layer_sum(execution, &LayerFigures::stage)),
                     seconds(layer_sum(execution, &LayerFigures::commit))},
                    {Cell::text("predicted"), seconds(cost.connection), seconds(cost.stage),
                     seconds(votes + cost.commit)}}},
          .x = "time"};
}

Chart layer_stages(const Execution& execution) {
  Chart chart{.title = "Staging one layer, measured beside predicted",
              .draw = Draw::kBars,
              .data = {"", {"layer", figure("measured_seconds"), figure("predicted_seconds")}, {}},
              .x = "layer",
              .y = "stage"};
  const TransferPlan& plan = *execution.job->plan;
  for (std::size_t i = 0; i < plan.layers.size(); ++i) {
    chart.data.rows.push_back({Cell::text(std::to_string(plan.layers[i].layer.value())),
                               Cell::seconds(figures_of(execution, i).stage),
                               Cell::seconds(execution.predicted.layers[i].stage)});
  }
  return chart;
}

/// What serving waits for is named so; the rest goes beside it.
std::string kind_of(const Span& span, bool synchronous) {
  const bool waits = synchronous || span.category == "commit" || span.category == "vote";
  return span.category + (waits ? " (exposed)" : "");
}

/// The first kMost spans: a page is no place for a million of them, --timeline is.
Chart timeline(const Execution& execution) {
  constexpr std::size_t kMost = 2500;
  Chart chart{.title = "Who did what when, rank by rank; exposed: serving waits",
              .draw = Draw::kSpans,
              .data = {"", {"row", "what", "from", "for"}, {}},
              .x = "time since the start"};
  const Timeline all = joint_timeline(execution);
  std::vector<const Span*> spans;
  for (const Span& span : all.spans) {
    if (span.category != "verify" && span.category != "step") spans.push_back(&span);
  }
  std::stable_sort(spans.begin(), spans.end(),
                   [](const Span* a, const Span* b) { return a->start < b->start; });
  if (spans.size() > kMost) {
    spans.resize(kMost);
    chart.title += fmt::format(" (the first {} spans; --timeline writes all)", kMost);
  }
  for (const Span* span : spans) {
    const Track& track = all.tracks[span->track];
    chart.data.rows.push_back({Cell::text(track.process),
                               Cell::text(kind_of(*span, execution.mode == "sync")),
                               Cell::seconds(span->start), Cell::seconds(span->duration)});
  }
  std::stable_sort(
      chart.data.rows.begin(), chart.data.rows.end(), [](const auto& a, const auto& b) {
        return std::pair(a[0].shown.size(), a[0].shown) < std::pair(b[0].shown.size(), b[0].shown);
      });
  return chart;
}

/// Rates reached beside what plain exchanges and copies reach; nothing without --baseline.
Chart rates(const Execution& execution) {
  Chart chart{.title = "Rates beside the machine's, all ranks together",
              .draw = Draw::kBars,
              .data = {"", {"rate", "this move", "plain exchanges and copies"}, {}},
              .x = "",
              .y = "rate"};
  const auto baseline = baseline_of(execution);
  const Seconds median = percentile(repetitions_of(execution), 0.5);
  if (!baseline || median.count() <= 0) return chart;
  const std::size_t ranks = execution.job->plan->ranks;
  const Moved bytes = moved(*execution.job->plan);
  chart.data.rows = {{Cell::text("sent"), Cell::rate(bytes.sent / median),
                      Cell::rate(BytesPerSecond(best_of(*baseline, ranks)))},
                     {Cell::text("written"), Cell::rate(bytes.written / median),
                      Cell::rate(BytesPerSecond(copying_rate(*baseline, ranks)))}};
  return chart;
}

}  // namespace

void add_execute_page(const Execution& execution, Report& report) {
  report.add(tiles_of(execution));
  report.add(strip(execution));
  report.add(layer_stages(execution));
  report.add(rates(execution));
  report.add(timeline(execution));
}

}  // namespace moeshift::cli
