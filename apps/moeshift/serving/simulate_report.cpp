// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/serving/simulate_report.hpp"

#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/model/topology.hpp"

#include "apps/moeshift/inputs/by_link.hpp"

namespace moeshift::cli {
namespace {

using Json = nlohmann::ordered_json;

Json decisions_json(const DecisionCounts& decisions) {
  return {{"due", decisions.due},
          {"postponed", decisions.postponed},
          {"balanced", decisions.balanced},
          {"hysteresis", decisions.hysteresis},
          {"too_costly", decisions.too_costly},
          {"unchanged", decisions.unchanged},
          {"rearranged", decisions.rearranged}};
}

Json events_json(const std::vector<WorldEventRecord>& events) {
  Json rows = Json::array();
  for (const WorldEventRecord& record : events) {
    const bool fails = record.event.kind == WorldEvent::Kind::kFail;
    Json row = {{"kind", fails ? "fail" : "resize"}, {"step", record.event.step}};
    if (fails) row["rank"] = record.event.rank.value();
    row["ranks_serving"] = record.ranks_serving;
    row["experts_lost"] = record.experts_lost;
    row["reload_seconds"] = record.reload.count();
    row["stall_seconds"] = record.stall.count();
    rows.push_back(std::move(row));
  }
  return rows;
}

Bytes sum_of(const BytesByLink& bytes) {
  Bytes sum;
  for (const Bytes of_link : bytes) sum += of_link;
  return sum;
}

}  // namespace

Json to_json(const LaneResult& lane) {
  const LatencyHistogram& times = lane.step_times;
  return {{"steps", lane.steps},
          {"tokens", lane.tokens},
          {"throughput_tokens_per_second", lane.tokens_per_second()},
          {"step_seconds",
           {{"mean", times.mean().count()},
            {"p50", times.quantile(0.5).count()},
            {"p90", times.quantile(0.9).count()},
            {"p99", times.quantile(0.99).count()},
            {"max", times.largest().count()}}},
          {"transfer_seconds",
           {{"exposed", lane.exposed.count()}, {"overlapped", lane.overlapped.count()}}},
          {"bytes_by_link", bytes_by_link_json(lane.bytes)},
          {"balancedness", lane.balancedness},
          {"staleness_steps", lane.staleness_steps},
          {"layers_moved", lane.layers_moved},
          {"longest_rearrangement_steps", lane.longest_rearrangement_steps},
          {"decisions", decisions_json(lane.decisions)},
          {"outage_seconds", lane.outage.count()},
          {"world_events", events_json(lane.events)}};
}

Json to_json(const std::vector<RearrangementRecord>& records) {
  Json rows = Json::array();
  for (const RearrangementRecord& record : records) {
    const auto break_even = record.break_even_steps();
    const bool resize = record.cause == RearrangementRecord::Cause::kResize;
    Cell not_even = Cell::text(resize ? "resize" : "never");
    not_even.number = true;  // among numbers, whose digits line up
    rows.push_back({{"step", record.step},
                    {"cause", resize ? "resize" : "decision"},
                    {"finished_step", record.finished_step ? Json(*record.finished_step) : Json()},
                    {"layers", record.layers},
                    {"transfers", record.transfers},
                    {"bytes_by_link", bytes_by_link_json(record.bytes)},
                    {"predicted_seconds", record.predicted.count()},
                    {"exposed_seconds", record.exposed.count()},
                    {"overlapped_seconds", record.overlapped.count()},
                    {"predicted_gain_seconds_per_step", record.predicted_gain.count()},
                    {"gained_seconds", record.gained.count()},
                    {"steps_in_force", record.steps_in_force},
                    {"break_even_steps", break_even ? Json(*break_even) : Json()}});
  }
  return rows;
}

Json ratios(const LaneResult& lane, const LaneResult& reference) {
  const auto of = [&](double share) {
    return ratio(lane.step_times.quantile(share), reference.step_times.quantile(share));
  };
  return {{"throughput_ratio", lane.tokens_per_second() / reference.tokens_per_second()},
          {"mean_ratio", ratio(lane.step_times.mean(), reference.step_times.mean())},
          {"p50_ratio", of(0.5)},
          {"p99_ratio", of(0.99)}};
}

Table lane_table(const std::vector<LaneResult>& lanes, const LaneResult& reference) {
  Table table{"", {"policy", "tokens/s", "vs static", "step p50", "p99", "max", "balance"}, {}};
  for (const LaneResult& lane : lanes) {
    const LatencyHistogram& times = lane.step_times;
    table.rows.push_back(
        {Cell::text(lane.name), Cell::decimal(lane.tokens_per_second(), 0),
         Cell::decimal(lane.tokens_per_second() / reference.tokens_per_second(), 3),
         Cell::seconds(times.quantile(0.5)), Cell::seconds(times.quantile(0.99)),
         Cell::seconds(times.largest()), Cell::decimal(lane.balancedness, 3)});
  }
  return table;
}

Table move_table(const std::vector<LaneResult>& lanes) {
  Table table{"moves",
              {"policy", "times", "layers", "moved", "between nodes", "exposed", "overlapped"},
              {}};
  for (const LaneResult& lane : lanes) {
    if (lane.layers_moved == 0) continue;
    const Bytes far = lane.bytes[static_cast<std::size_t>(LinkClass::kInterNode)] +
                      lane.bytes[static_cast<std::size_t>(LinkClass::kInterRack)];
    table.rows.push_back(
        {Cell::text(lane.name), Cell::count(static_cast<std::int64_t>(lane.decisions.rearranged)),
         Cell::count(static_cast<std::int64_t>(lane.layers_moved)), Cell::bytes(sum_of(lane.bytes)),
         Cell::bytes(far), Cell::seconds(lane.exposed), Cell::seconds(lane.overlapped)});
  }
  return table;
}

Table rearrangement_table(const LaneResult& lane) {
  Table table{
      "rearrangements (took and break-even in steps)",
      {"step", "took", "layers", "moves", "bytes", "predicted", "exposed", "gained", "break-even"},
      {}};
  for (const RearrangementRecord& record : lane.rearrangements) {
    const auto break_even = record.break_even_steps();
    const bool resize = record.cause == RearrangementRecord::Cause::kResize;
    Cell not_even = Cell::text(resize ? "resize" : "never");
    not_even.number = true;  // among numbers, whose digits line up
    table.rows.push_back({Cell::count(static_cast<std::int64_t>(record.step)),
                          record.finished_step ? Cell::count(static_cast<std::int64_t>(
                                                     *record.finished_step - record.step))
                                               : Cell::text("..."),
                          Cell::count(record.layers), Cell::count(record.transfers),
                          Cell::bytes(sum_of(record.bytes)), Cell::seconds(record.predicted),
                          Cell::seconds(record.exposed), Cell::seconds(record.gained),
                          break_even ? Cell::decimal(*break_even, 1) : not_even});
  }
  return table;
}

Table event_table(const LaneResult& lane) {
  Table table{"ranks", {"step", "event", "ranks serving", "experts lost", "reload", "stall"}, {}};
  for (const WorldEventRecord& record : lane.events) {
    const bool fails = record.event.kind == WorldEvent::Kind::kFail;
    table.rows.push_back(
        {Cell::count(static_cast<std::int64_t>(record.event.step)),
         Cell::text(fails ? fmt::format("rank {} fails", record.event.rank.value()) : "resize"),
         Cell::count(record.ranks_serving), Cell::count(record.experts_lost),
         Cell::seconds(record.reload), Cell::seconds(record.stall)});
  }
  return table;
}

}  // namespace moeshift::cli
