// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/execute_report.hpp"

#include <algorithm>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace moeshift::cli {
namespace {

using Json = nlohmann::ordered_json;

/// One layer over all ranks: the slowest counts.
struct LayerFigures {
  Phase phase = Phase::kVerified;
  std::uint32_t epoch_low = 0;
  std::uint32_t epoch_high = 0;
  Seconds stage;
  Seconds vote;
  Seconds commit;
  Seconds stage_device;
  Seconds commit_device;
};

LayerFigures figures_of(const Execution& execution, std::size_t layer) {
  LayerFigures figures;
  figures.epoch_low = execution.ranks.empty() ? 0 : ~0U;
  for (const RankOutcome& rank : execution.ranks) {
    const LayerOutcome& outcome = rank.layers[layer];
    figures.phase = std::min(figures.phase, outcome.phase);
    figures.epoch_low = std::min(figures.epoch_low, outcome.epoch);
    figures.epoch_high = std::max(figures.epoch_high, outcome.epoch);
    figures.stage = std::max(figures.stage, outcome.stage);
    figures.vote = std::max(figures.vote, outcome.vote);
    figures.commit = std::max(figures.commit, outcome.commit);
    figures.stage_device = std::max(figures.stage_device, outcome.stage_device);
    figures.commit_device = std::max(figures.commit_device, outcome.commit_device);
  }
  return figures;
}

Json layers_json(const Execution& execution) {
  Json rows = Json::array();
  const TransferPlan& plan = *execution.job->plan;
  for (std::size_t i = 0; i < plan.layers.size(); ++i) {
    const LayerFigures figures = figures_of(execution, i);
    const LayerCost& cost = execution.predicted.layers[i];
    rows.push_back({{"layer", plan.layers[i].layer.value()},
                    {"phase", name_of(figures.phase)},
                    {"epoch", figures.epoch_low},
                    {"transfers", totals_of(plan.layers[i], plan.expert_bytes).transfers},
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

Json links_json(const TransferTotals& totals) {
  Json json = Json::object();
  for (std::size_t i = 0; i < kLinkClasses; ++i) {
    json[std::string(name_of(static_cast<LinkClass>(i)))] = totals.bytes_by_link[i].count();
  }
  return json;
}

Json failure_json(const Failure& failure) {
  Json json{{"rank", failure.rank.value()},
            {"phase", name_of(failure.phase)},
            {"reason", failure.reason}};
  if (failure.layer) json["layer"] = failure.layer->value();
  return json;
}

/// What all ranks received and copied, by the byte.
Bytes payload(const TransferTotals& totals) {
  Bytes bytes;
  for (const Bytes link : totals.bytes_by_link) bytes += link;
  return bytes;
}

Seconds layer_sum(const Execution& execution, Seconds LayerFigures::* time) {
  Seconds sum{0.0};
  for (std::size_t i = 0; i < execution.job->plan->layers.size(); ++i) {
    sum += figures_of(execution, i).*time;
  }
  return sum;
}

Seconds percentile(std::vector<Seconds> times, double share) {
  if (times.empty()) return Seconds(0.0);
  std::ranges::sort(times);
  const auto index = static_cast<std::size_t>(share * static_cast<double>(times.size() - 1) + 0.5);
  return times[index];
}

/// Step times of all ranks together.
std::vector<Seconds> steps_of(const Execution& execution,
                              std::vector<Seconds> RankOutcome::* which) {
  std::vector<Seconds> steps;
  for (const RankOutcome& rank : execution.ranks) {
    steps.insert(steps.end(), (rank.*which).begin(), (rank.*which).end());
  }
  return steps;
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

Json predicted_json(const TransferCost& cost) {
  return {{"connection", cost.connection.count()},
          {"stage", cost.stage.count()},
          {"commit", cost.commit.count()},
          {"total", cost.total.count()},
          {"exposed", cost.exposed.count()}};
}

Table times_table(const Execution& execution) {
  const TransferCost& cost = execution.predicted;
  const auto row = [](const char* what, Seconds measured, Seconds predicted, const char* meaning) {
    const Cell share =
        predicted.count() > 0 ? Cell::decimal(ratio(measured, predicted), 2) : Cell::empty();
    return std::vector<Cell>{Cell::text(what), Cell::seconds(measured), Cell::seconds(predicted),
                             share, Cell::text(meaning)};
  };
  return {"",
          {"time", "measured", "predicted", "ratio", "meaning"},
          {row("connection", execution.longest(&RankTimes::connect), cost.connection,
               "first contact of all pairs"),
           row("stage", layer_sum(execution, &LayerFigures::stage), cost.stage,
               "into buffers, sum over layers, slowest rank"),
           row("commit", layer_sum(execution, &LayerFigures::commit), cost.commit,
               "buffer to live, sum over layers, slowest rank"),
           row("exposed", execution.longest(&RankTimes::exposed), cost.exposed,
               "what inference waits for"),
           row("total", execution.longest(&RankTimes::total), cost.total, "wall time")}};
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
  return table;
}

/// Of every repetition the slowest rank, ascending.
std::vector<Seconds> repetitions_of(const Execution& execution) {
  std::vector<Seconds> totals;
  for (const RankOutcome& rank : execution.ranks) {
    totals.resize(std::max(totals.size(), rank.totals.size()), Seconds(0.0));
    for (std::size_t i = 0; i < rank.totals.size(); ++i) {
      totals[i] = std::max(totals[i], rank.totals[i]);
    }
  }
  return totals;
}

/// Bytes that crossed a link, and bytes that were written: received, staged or committed.
struct Moved {
  Bytes sent;
  Bytes written;
};

Moved moved(const TransferPlan& plan) {
  std::size_t sent = 0;
  std::size_t copied = 0;
  for (const LayerMoves& layer : plan.layers) {
    for (const Wave& wave : layer.waves) {
      sent += wave.transfers.size();
      copied += wave.stage_copies.size() + wave.commit_copies.size();
    }
  }
  const auto bytes = [&](std::size_t experts) {
    return plan.expert_bytes * static_cast<std::int64_t>(experts);
  };
  return {bytes(sent), bytes(sent + copied)};
}

std::optional<BaselineTimes> baseline_of(const Execution& execution) {
  return execution.ranks.empty() ? std::nullopt : execution.ranks.front().baseline;
}

/// Bytes that all ranks send per second, in the better of the two plain exchanges.
double best_of(const BaselineTimes& baseline, std::size_t ranks) {
  const Seconds best = std::min(baseline.ring, baseline.all_to_all);
  const Bytes all = baseline.bytes * static_cast<std::int64_t>(ranks);
  return best.count() > 0 ? (all / best).count() : 0.0;
}

Json baseline_json(const BaselineTimes& baseline, std::size_t ranks) {
  return {{"bytes_per_rank", baseline.bytes.count()},
          {"ring_seconds", baseline.ring.count()},
          {"all_to_all_seconds", baseline.all_to_all.count()},
          {"best_bytes_per_second", best_of(baseline, ranks)}};
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
            {"bytes_by_link", links_json(totals)},
            {"payload_bytes_per_second", rate}};
  add_throughput(result, execution, moved(plan));
  const std::vector<Seconds> disturbed = steps_of(execution, &RankOutcome::disturbed);
  if (!disturbed.empty()) {
    result["foreground_step_seconds"] = {
        {"undisturbed", step_json(steps_of(execution, &RankOutcome::undisturbed))},
        {"beside_shuffle", step_json(disturbed)}};
  }
  if (const auto failure = execution.failure()) result["failure"] = failure_json(*failure);
  result["facts"] = facts_json(execution);
  result["layers"] = layers_json(execution);
}

}  // namespace

std::optional<Failure> Execution::failure() const {
  for (const RankOutcome& rank : ranks) {
    if (rank.failure) return rank.failure;
  }
  return std::nullopt;
}

std::uint64_t Execution::mismatched_bytes() const {
  std::uint64_t bytes = 0;
  for (const RankOutcome& rank : ranks) {
    for (const SlotFault& fault : rank.faults) bytes += fault.wrong_bytes;
  }
  return bytes;
}

bool Execution::verified() const {
  const auto all_right = [](const RankOutcome& rank) {
    return !rank.failure && rank.faults.empty() &&
           std::ranges::all_of(rank.layers, [](const LayerOutcome& layer) {
             return layer.phase == Phase::kVerified;
           });
  };
  return !ranks.empty() && std::ranges::all_of(ranks, all_right);
}

Seconds Execution::longest(Seconds RankTimes::* time) const {
  Seconds longest{0.0};
  for (const RankOutcome& rank : ranks) longest = std::max(longest, rank.times.*time);
  return longest;
}

Report execution_report(const Execution& execution) {
  Report report("execute");
  add_result(report, execution);
  const TransferPlan& plan = *execution.job->plan;
  const TransferTotals totals = totals_of(plan);
  const Seconds total = execution.longest(&RankTimes::total);
  report.note(fmt::format("{}, {}: {} ranks, {} layers, {} per expert, {} transfers, {} copies",
                          execution.transport, execution.mode, plan.ranks, plan.layers.size(),
                          human(plan.expert_bytes), totals.transfers, totals.local_copies));
  report.table(times_table(execution));
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
  }
  if (const std::string facts = facts_line(execution); !facts.empty()) report.note(facts);
  std::uint64_t slots = 0;
  for (const RankOutcome& rank : execution.ranks) slots += rank.slots_verified;
  const std::uint64_t wrong = execution.mismatched_bytes();
  report.note(fmt::format("verified every byte of {} slots: {}", slots,
                          wrong == 0 ? "all right" : fmt::format("{} WRONG bytes", wrong)));
  return report;
}

std::vector<std::string> fault_lines(const Execution& execution, std::size_t most) {
  std::vector<std::string> lines;
  std::size_t all = 0;
  for (const RankOutcome& rank : execution.ranks) {
    for (const SlotFault& fault : rank.faults) {
      if (++all > most) continue;
      lines.push_back(fmt::format(
          "layer {}, rank {}, slot {} (expert {}): {} wrong bytes, the first at offset {}",
          fault.layer.value(), fault.rank.value(), fault.slot, fault.expert.value(),
          fault.wrong_bytes, fault.first_offset));
    }
  }
  if (all > most) lines.push_back(fmt::format("and {} more slots", all - most));
  return lines;
}

std::string survey_line(const Execution& execution) {
  std::size_t slots = 0;
  std::size_t fresh = 0;
  std::size_t mixed = 0;
  const std::size_t layers = execution.job->plan->layers.size();
  for (const RankOutcome& rank : execution.ranks) slots += rank.slots_verified;
  for (std::size_t i = 0; i < layers; ++i) {
    const LayerFigures figures = figures_of(execution, i);
    fresh += figures.epoch_low == 1;
    mixed += figures.epoch_low != figures.epoch_high;
  }
  const std::string who = execution.ranks.size() == 1
                              ? fmt::format("rank {}", execution.ranks[0].rank.value())
                              : fmt::format("{} ranks", execution.ranks.size());
  const std::string state =
      fmt::format("{}: {} layers new, {} old{}", who, fresh, layers - fresh - mixed,
                  mixed > 0 ? fmt::format(", {} new on some ranks only", mixed) : "");
  if (slots == 0) return state + "; nothing had been touched";
  const std::uint64_t wrong = execution.mismatched_bytes();
  return state + fmt::format("; {} slots checked, {}", slots,
                             wrong == 0 ? "every byte as it should be"
                                        : fmt::format("{} WRONG bytes", wrong));
}

Timeline joint_timeline(const Execution& execution) {
  Timeline joint;
  for (const RankOutcome& rank : execution.ranks) {
    for (Span span : rank.timeline.spans) {
      const Track& track = rank.timeline.tracks[span.track];
      span.track = joint.track(track.process, track.name);
      joint.spans.push_back(std::move(span));
    }
  }
  return joint;
}

}  // namespace moeshift::cli
