// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/serving/serving_page.hpp"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "moeshift/core/number_text.hpp"
#include "moeshift/report/figures.hpp"

namespace moeshift::cli {
namespace {

Bytes sum_of(const BytesByLink& bytes) {
  return std::accumulate(bytes.begin() + 1, bytes.end(), Bytes());
}

Cell change(double ratio) {
  return {fixed_with_sign((ratio - 1) * 100, 1) + " %", round_trip(ratio - 1), true};
}

Tiles simulate_tiles(const LaneResult& asked, const LaneResult& still) {
  return {{{"throughput", change(asked.tokens_per_second() / still.tokens_per_second()),
            "against static"},
           {"p99 step time",
            change(ratio(asked.step_times.quantile(0.99), still.step_times.quantile(0.99))),
            "against static"},
           {"rearrangements", Cell::count(static_cast<std::int64_t>(asked.decisions.rearranged)),
            fmt::format("of {} decisions", asked.decisions.due)},
           {"moved", Cell::bytes(sum_of(asked.bytes)), "all links"},
           {"felt by serving", Cell::seconds(asked.exposed), "in all"},
           {"balancedness", figure("balancedness")(asked.balancedness),
            fmt::format("static: {:.4f}", still.balancedness)}}};
}

/// "Step time over the run": every block of steps at its last step, a mark per rearrangement.
Chart over_the_run(const std::vector<LaneResult>& lanes, const std::vector<StepBlocks>& blocks) {
  Chart chart{.title = "Step time over the run; dashed: a rearrangement is decided",
              .draw = Draw::kLines,
              .data = {"", {"step"}, {}},
              .x = "served step",
              .y = "mean step time of a block"};
  if (blocks.empty()) return chart;
  for (std::size_t i = 0; i < blocks.size(); ++i) chart.data.columns.emplace_back(lanes[i].name);
  std::uint64_t step = 0;
  for (std::size_t b = 0; b < blocks.front().blocks().size(); ++b) {
    step += blocks.front().blocks()[b].steps;
    std::vector<Cell> row = {Cell::count(static_cast<std::int64_t>(step))};
    for (const StepBlocks& lane : blocks) {
      const StepBlocks::Block& block = lane.blocks()[b];
      row.push_back(
          Cell::seconds(block.sum / static_cast<double>(std::max<std::uint64_t>(block.steps, 1))));
    }
    chart.data.rows.push_back(std::move(row));
  }
  constexpr std::size_t kMostMarks = 100;
  for (const RearrangementRecord& record : lanes.front().rearrangements) {
    if (chart.marks.size() == kMostMarks) break;
    chart.marks.push_back(
        {static_cast<double>(record.step), fmt::format("{} layers", record.layers)});
  }
  return chart;
}

Chart percentiles(const std::vector<LaneResult>& lanes) {
  Chart chart{.title = "Step times: the inter-token latency that users see",
              .draw = Draw::kBars,
              .data = {"", {"of the step times"}, {}},
              .x = "of the step times",
              .y = "step time"};
  for (const LaneResult& lane : lanes) chart.data.columns.emplace_back(lane.name);
  const auto add = [&](const char* name, auto get) {
    std::vector<Cell> row = {Cell::text(name)};
    for (const LaneResult& lane : lanes) row.push_back(Cell::seconds(get(lane.step_times)));
    chart.data.rows.push_back(std::move(row));
  };
  add("mean", [](const LatencyHistogram& times) { return times.mean(); });
  add("p50", [](const LatencyHistogram& times) { return times.quantile(0.5); });
  add("p90", [](const LatencyHistogram& times) { return times.quantile(0.9); });
  add("p99", [](const LatencyHistogram& times) { return times.quantile(0.99); });
  add("max", [](const LatencyHistogram& times) { return times.largest(); });
  return chart;
}

Chart gained_and_lost(const LaneResult& lane) {
  Chart chart{.title = "What every rearrangement gained and cost",
              .draw = Draw::kBars,
              .data = {"", {"step", figure("gained_seconds"), figure("exposed_seconds")}, {}},
              .x = "step at which it was decided",
              .y = "time"};
  for (const RearrangementRecord& record : lane.rearrangements) {
    chart.data.rows.push_back({Cell::count(static_cast<std::int64_t>(record.step)),
                               figure("gained_seconds")(record.gained),
                               figure("exposed_seconds")(record.exposed)});
  }
  return chart;
}

Chart moved(const LaneResult& lane) {
  Chart chart{.title = "How much every rearrangement moved",
              .draw = Draw::kBars,
              .data = {"", {"step", "bytes"}, {}},
              .x = "step at which it was decided",
              .y = "bytes"};
  for (const RearrangementRecord& record : lane.rearrangements) {
    chart.data.rows.push_back(
        {Cell::count(static_cast<std::int64_t>(record.step)), Cell::bytes(sum_of(record.bytes))});
  }
  return chart;
}

/// "incremental 16r 48s @100"
std::string short_name(const SweepPoint& point) {
  std::string name = fmt::format("{} {}r {}s", point.policy, point.ranks, point.slots);
  if (point.interval != 0) name += fmt::format(" @{}", point.interval);
  return point.forecaster.empty() ? name : name + " " + point.forecaster;
}

Chart frontier(const std::vector<SweepRow>& rows, const SweepVerdict& verdict, SweepGoal goal) {
  const bool latency = goal == SweepGoal::kP99;
  const Figure& value = latency                       ? figure("step_seconds")
                        : goal == SweepGoal::kPerRank ? figure("throughput_per_rank")
                                                      : figure("throughput_tokens_per_second");
  Chart chart{
      .title = "What is gained against bytes moved: on the dashed line nobody is better for less",
      .draw = Draw::kScatter,
      .data = {"", {"combination", figure("bytes_by_link"), value, "pareto"}, {}},
      .x = "bytes moved over the whole trace",
      .y = latency ? "p99 of the step time: less is better" : std::string(value.label)};
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const double worth = latency ? -rows[i].value(goal) : rows[i].value(goal);
    chart.data.rows.push_back({Cell::text(short_name(rows[i].point)),
                               Cell::bytes(rows[i].bytes_moved()), value(worth),
                               Cell::text(verdict.pareto[i] ? "*" : "")});
  }
  return chart;
}

/// The rows least behind the best, best first.
Chart behind(const std::vector<SweepRow>& rows, const SweepVerdict& verdict) {
  constexpr std::size_t kMostRows = 20;
  Chart chart{
      .title = "Behind the best: mean difference and 95 % interval; r ranks, s slots, @ interval",
      .draw = Draw::kIntervals,
      .data = {"", {"combination", "behind", "low", "high"}, {}},
      .x = "step time behind the best: less is better"};
  std::vector<std::size_t> order(rows.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return verdict.behind[a].mean < verdict.behind[b].mean;
  });
  order.resize(std::min(order.size(), kMostRows));
  for (const std::size_t i : order) {
    const PairedDifference& by = verdict.behind[i];
    const bool known = by.method != IntervalMethod::kNone;
    chart.data.rows.push_back({Cell::text(short_name(rows[i].point)),
                               Cell::seconds(Seconds(by.mean)),
                               known ? Cell::seconds(Seconds(by.low)) : Cell::empty(),
                               known ? Cell::seconds(Seconds(by.high)) : Cell::empty()});
  }
  return chart;
}

Tiles sweep_tiles(const std::vector<SweepRow>& rows, const SweepVerdict& verdict) {
  const SweepRow& best = rows[verdict.best];
  const SweepRow& thrifty = rows[verdict.thrifty];
  return {{{"best", Cell::text(short_name(best.point)), fmt::format("of {}", rows.size())},
           {"tokens/s", figure("throughput_tokens_per_second")(best.result.tokens_per_second()),
            "of the best"},
           {"p99 step time", Cell::seconds(best.result.step_times.quantile(0.99)), "of the best"},
           {"advised", Cell::text(short_name(thrifty.point)), "thriftiest within 1 % of the best"},
           {"its weights", figure("expert_bytes_per_rank")(thrifty.memory),
            "experts and buffers per rank"}}};
}

}  // namespace

void add_simulate_page(const std::vector<LaneResult>& lanes, const std::vector<StepBlocks>& blocks,
                       Report& report) {
  if (lanes.size() > 1) report.add(simulate_tiles(lanes[0], lanes[1]));
  report.add(over_the_run(lanes, blocks));
  report.add(percentiles(lanes));
  report.add(gained_and_lost(lanes.front()));
  report.add(moved(lanes.front()));
}

void add_sweep_page(const std::vector<SweepRow>& rows, const SweepVerdict& verdict, SweepGoal goal,
                    Report& report) {
  report.add(sweep_tiles(rows, verdict));
  report.add(frontier(rows, verdict, goal));
  report.add(behind(rows, verdict));
}

}  // namespace moeshift::cli
