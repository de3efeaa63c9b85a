// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/execute/execute_report.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/number_text.hpp"

#include "apps/moeshift/execute/execute_page.hpp"
#include "apps/moeshift/inputs/by_link.hpp"
#include "apps/moeshift/moves/moves_report.hpp"

namespace moeshift::cli {
namespace {

using Json = nlohmann::ordered_json;

Json layers_json(const Execution& execution) {
  Json rows = Json::array();
  const TransferPlan& plan = *execution.job->plan;
  for (std::size_t i = 0; i < plan.layers.size(); ++i) {
    const LayerFigures figures = figures_of(execution, i);
    const LayerCost& cost = execution.predicted.layers[i];
    rows.push_back({{"layer", plan.layers[i].layer.value()},
                    {"phase", name_of(figures.phase)},
                    {"epoch", figures.epoch_low},
                    {"transfers", totals_of(plan, i).transfers},
                    {"measured_seconds",
                     {{"stage", figures.stage.count()},
                      {"vote", figures.vote.count()},
                      {"commit", figures.commit.count()},
                      {"stage_device", figures.stage_device.count()},
                      {"commit_device", figures.commit_device.count()}}},
                    {"predicted_seconds",
                     {{"stage", cost.stage.count()},
                      {"vote", cost.vote.count()},
                      {"commit", cost.commit.count()}}}});
  }
  return rows;
}

Json failure_json(const Failure& failure) {
  Json json{{"rank", failure.rank.value()},
            {"phase", name_of(failure.phase)},
            {"reason", failure.reason}};
  if (failure.layer) json["layer"] = failure.layer->value();
  return json;
}

Json step_json(const std::vector<Seconds>& steps) {
  return {{"count", steps.size()},
          {"p50", percentile(steps, 0.5).count()},
          {"p99", percentile(steps, 0.99).count()},
          {"max", percentile(steps, 1.0).count()}};
}

Json measured_json(const Execution& execution) {
  return {{"setup", execution.longest(&RankTimes::setup).count()},
          {"connection", execution.longest(&RankTimes::connect).count()},
          {"stage", layer_sum(execution, &LayerFigures::stage).count()},
          {"commit", layer_sum(execution, &LayerFigures::commit).count()},
          {"stage_device", layer_sum(execution, &LayerFigures::stage_device).count()},
          {"commit_device", layer_sum(execution, &LayerFigures::commit_device).count()},
          {"total", execution.longest(&RankTimes::total).count()},
          {"exposed", execution.longest(&RankTimes::exposed).count()},
          {"verify", execution.longest(&RankTimes::verify).count()}};
}

Seconds predicted_votes(const TransferCost& cost) {
  Seconds votes;
  for (const LayerCost& layer : cost.layers) votes += layer.vote;
  return votes;
}

Json predicted_json(const TransferCost& cost) {
  return {{"connection", cost.connection.count()}, {"stage", cost.stage.count()},
          {"vote", predicted_votes(cost).count()}, {"commit", cost.commit.count()},
          {"total", cost.total.count()},           {"exposed", cost.exposed.count()}};
}

Table times_table(const Execution& execution) {
  const TransferCost& cost = execution.predicted;
  const auto row = [](const char* what, Seconds measured, Seconds predicted, const char* meaning) {
    const Cell share = predicted.count() > 0 && measured.count() > 0
                           ? Cell::decimal(ratio(measured, predicted), 2)
                           : Cell::empty();
    return std::vector<Cell>{Cell::text(what), Cell::seconds(measured), Cell::seconds(predicted),
                             share, Cell::text(meaning)};
  };
  const Seconds stage = layer_sum(execution, &LayerFigures::stage);
  const Seconds commit = layer_sum(execution, &LayerFigures::commit);
  const Seconds total = execution.longest(&RankTimes::total);
  const Seconds predicted_commit = predicted_votes(cost) + cost.commit;
  // What rounding leaves of a difference of sums is no time: a ratio to it would be nonsense.
  const Seconds left = cost.total - cost.stage - predicted_commit;
  const Seconds predicted_other =
      std::abs(left.count()) < 1e-9 * cost.total.count() ? Seconds() : left;
  return {"",
          {"time", "measured", "predicted", "ratio", "meaning"},
          {row("connection", execution.longest(&RankTimes::connect), cost.connection,
               "first contact of all pairs"),
           row("stage", stage, cost.stage, "into buffers, until the last rank, sum over layers"),
           row("commit", commit, predicted_commit, "vote and buffer to live, likewise"),
           row("other", total - stage - commit, predicted_other,
               "total less both: steps of the model; below 0: both at once"),
           row("exposed", execution.longest(&RankTimes::exposed), cost.exposed,
               "what inference waits for"),
           row("total", total, cost.total, "wall time, first contact left out")}};
}

Table steps_table(const Execution& execution) {
  Table table{"foreground steps", {"steps", "count", "p50", "p99", "longest"}, {}};
  const auto add = [&](const char* name, const std::vector<Seconds>& steps) {
    table.rows.push_back(
        {Cell::text(name), Cell::count(steps.size()), Cell::seconds(percentile(steps, 0.5)),
         Cell::seconds(percentile(steps, 0.99)), Cell::seconds(percentile(steps, 1.0))});
  };
  add("undisturbed", steps_of(execution, &RankOutcome::undisturbed));
  add("beside the shuffle", steps_of(execution, &RankOutcome::disturbed));
  if (execution.predicted_step) {
    table.rows.push_back({Cell::text("predicted, mean"), Cell::empty(),
                          Cell::seconds(*execution.predicted_step), Cell::empty(), Cell::empty()});
  }
  return table;
}

Json baseline_json(const BaselineTimes& baseline, std::size_t ranks) {
  return {{"bytes_per_rank", baseline.bytes.count()},
          {"ring_seconds", baseline.ring.count()},
          {"all_to_all_seconds", baseline.all_to_all.count()},
          {"best_bytes_per_second", best_of(baseline, ranks)},
          {"copy_bytes_per_second", copying_rate(baseline, ranks)}};
}

Table repetitions_table(const Execution& execution) {
  const std::vector<Seconds> totals = repetitions_of(execution);
  return {"repetitions, there and back",
          {"count", "shortest", "p50", "p99", "longest"},
          {{Cell::count(totals.size()), Cell::seconds(percentile(totals, 0.0)),
            Cell::seconds(percentile(totals, 0.5)), Cell::seconds(percentile(totals, 0.99)),
            Cell::seconds(percentile(totals, 1.0))}}};
}

/// What the world says of itself, in one line; single variables are for the file.
std::string facts_line(const Execution& execution) {
  std::string line;
  for (const auto& [name, value] : execution.facts) {
    if (name.starts_with("NCCL_")) continue;
    line += fmt::format("{}{} {}", line.empty() ? "" : "; ", name, value);
  }
  return line;
}

Json facts_json(const Execution& execution) {
  Json json = Json::object();
  for (const auto& [name, value] : execution.facts) json[name] = value;
  for (const RankOutcome& rank : execution.ranks) {
    for (const auto& [name, value] : rank.facts) {
      json[fmt::format("rank {}: {}", rank.rank.value(), name)] = value;
    }
  }
  return json;
}

/// Rates of the median repetition, and of plain exchanges beside it.
void add_throughput(Json& result, const Execution& execution, const Moved& bytes) {
  const std::vector<Seconds> totals = repetitions_of(execution);
  const Seconds median = percentile(totals, 0.5);
  result["bytes_sent"] = bytes.sent.count();
  result["sent_bytes_per_second"] = median.count() > 0 ? (bytes.sent / median).count() : 0.0;
  result["bytes_written"] = bytes.written.count();
  result["written_bytes_per_second"] = median.count() > 0 ? (bytes.written / median).count() : 0.0;
  result["repetitions"] = step_json(totals);
  if (const auto baseline = baseline_of(execution)) {
    result["baseline"] = baseline_json(*baseline, execution.job->plan->ranks);
  }
}

/// The machine's figures are data sheets, or another transport's.
std::string uncalibrated_line(const Execution& execution) {
  const std::string why = execution.calibrated_on.empty()
                              ? std::string("nobody has measured the engine there")
                              : "it was measured on " + execution.calibrated_on;
  return fmt::format(
      "uncalibrated: --cluster does not say how {} works on this machine ({}); moeshift calibrate "
      "--backend {} --ranks {} --cluster-file FILE, then --cluster FILE",
      execution.transport, why, execution.transport, execution.job->plan->ranks);
}

PredictionError error_of(const Execution& execution) {
  return prediction_error(*execution.job->plan, execution.phases, execution.predicted,
                          execution.longest(&RankTimes::total), execution.stages_apart);
}

void add_result(Report& report, const Execution& execution) {
  const TransferPlan& plan = *execution.job->plan;
  const TransferTotals totals = totals_of(plan);
  const Seconds total = execution.longest(&RankTimes::total);
  const double rate = total.count() > 0 ? (payload(totals) / total).count() : 0.0;
  std::int64_t memory = 0;
  for (const RankOutcome& rank : execution.ranks) memory = std::max(memory, rank.memory.count());
  Json& result = report.result();
  result = {{"transport", execution.transport},
            {"mode", execution.mode},
            {"ranks", plan.ranks},
            {"plan_hash", plan.hash},
            {"verified", execution.verified()},
            {"mismatched_bytes", execution.mismatched_bytes()},
            {"memory_bytes_per_rank", memory},
            {"measured_seconds", measured_json(execution)},
            {"predicted_seconds", predicted_json(execution.predicted)},
            {"calibrated", execution.is_calibrated()},
            {"bytes_by_link", bytes_by_link_json(totals.bytes_by_link, LinkClass::kLocal)},
            {"payload_bytes_per_second", rate}};
  add_throughput(result, execution, moved(plan));
  const std::vector<Seconds> disturbed = steps_of(execution, &RankOutcome::disturbed);
  if (!disturbed.empty()) {
    result["foreground_step_seconds"] = {
        {"undisturbed", step_json(steps_of(execution, &RankOutcome::undisturbed))},
        {"beside_shuffle", step_json(disturbed)}};
    if (execution.predicted_step) {
      result["foreground_step_seconds"]["predicted_mean"] = execution.predicted_step->count();
    }
  }
  if (const auto failure = execution.failure()) result["failure"] = failure_json(*failure);
  if (!execution.failure()) result["prediction_error"] = error_json(error_of(execution));
  result["facts"] = facts_json(execution);
  result["layers"] = layers_json(execution);
}

}  // namespace

Report execution_report(const Execution& execution) {
  Report report("execute", "The move, performed");
  add_result(report, execution);
  const TransferPlan& plan = *execution.job->plan;
  const TransferTotals totals = totals_of(plan);
  const Seconds total = execution.longest(&RankTimes::total);
  report.note(fmt::format(
      "{}, {}: {}, {}, {} per expert, {}, {}", execution.transport, execution.mode,
      counted(plan.ranks, "rank"), counted(plan.layers.size(), "layer"), human_sizes(plan.sizes),
      counted(totals.transfers, "transfer"), counted(totals.local_copies, "copy", "copies")));
  report.table(times_table(execution));
  if (!execution.failure()) {
    report.note(execution.is_calibrated() ? error_line(error_of(execution))
                                          : uncalibrated_line(execution));
  }
  if (!steps_of(execution, &RankOutcome::disturbed).empty()) report.table(steps_table(execution));
  if (total.count() > 0) {
    report.note(fmt::format("{} moved and copied in {}: {}", human(payload(totals)), human(total),
                            human(payload(totals) / total)));
  }
  if (repetitions_of(execution).size() > 1) report.table(repetitions_table(execution));
  if (const auto baseline = baseline_of(execution)) {
    const Seconds median = percentile(repetitions_of(execution), 0.5);
    const BytesPerSecond best(best_of(*baseline, plan.ranks));
    const BytesPerSecond ours = median.count() > 0 ? moved(plan).sent / median : best * 0.0;
    report.note(fmt::format(
        "sent at {} over all ranks; plain exchanges of as much: ring {}, all-to-all {} ({:.0f} %)",
        human(ours), human(baseline->ring), human(baseline->all_to_all),
        best.count() > 0 ? 100 * ours.count() / best.count() : 0.0));
    const BytesPerSecond copies(copying_rate(*baseline, plan.ranks));
    const BytesPerSecond written = median.count() > 0 ? moved(plan).written / median : copies * 0.0;
    report.note(fmt::format(
        "written at {}; plain copies of an expert each, all ranks: {} ({:.0f} %)", human(written),
        human(copies), copies.count() > 0 ? 100 * written.count() / copies.count() : 0.0));
  }
  if (const std::string facts = facts_line(execution); !facts.empty()) report.note(facts);
  std::uint64_t slots = 0;
  for (const RankOutcome& rank : execution.ranks) slots += rank.slots_verified;
  const std::uint64_t wrong = execution.mismatched_bytes();
  if (slots == 0 && wrong == 0) {
    report.add(Conclusion{"no slot was verified", Tone::kPlain, {}});
  } else {
    report.add(
        Conclusion{fmt::format("verified every byte of {}: {}", counted(slots, "slot"),
                               wrong == 0 ? "all right" : fmt::format("{} WRONG bytes", wrong)),
                   execution.verified() ? Tone::kGood : Tone::kBad,
                   {}});
  }
  add_execute_page(execution, report);
  return report;
}

}  // namespace moeshift::cli
