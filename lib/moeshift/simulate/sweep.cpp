// SPDX-License-Identifier: Apache-2.0
#include "moeshift/simulate/sweep.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>

#include <fmt/format.h>

namespace moeshift {
namespace {

constexpr std::string_view kStatic = "static";
/// A row that the trace cannot tell from the best is advised in its place only this close to it.
constexpr double kAsGood = 0.01;

}  // namespace

std::string SweepPoint::name() const {
  const std::string shape = fmt::format("{}, {} ranks, {} slots", policy, ranks, slots);
  if (interval == 0) return shape;
  return fmt::format("{}, every {}{}{}", shape, interval, forecaster.empty() ? "" : ", ",
                     forecaster);
}

std::vector<SweepPoint> SweepGrid::points() const {
  std::vector<SweepPoint> points;
  for (const std::size_t rank_count : ranks) {
    for (const std::size_t slot_count : slots) {
      points.push_back({std::string(kStatic), rank_count, slot_count, 0, ""});
      for (const std::string& policy : policies) {
        if (policy == kStatic) continue;
        for (const std::uint64_t interval : intervals) {
          for (const std::string& forecaster : forecasters) {
            points.push_back({policy, rank_count, slot_count, interval, forecaster});
          }
        }
      }
    }
  }
  return points;
}

Bytes expert_memory(const MoeModel& model, const SweepPoint& point, std::size_t buffers) {
  const std::size_t of_a_layer = (point.slots + point.ranks - 1) / point.ranks;
  const ExpertSizes sizes = model.expert_sizes();
  Bytes slot = sizes.largest() * static_cast<std::int64_t>(point.interval == 0 ? 0 : buffers);
  for (const LayerId layer : all_ids<LayerId>(model.num_layers)) slot += sizes.largest(layer);
  return slot * static_cast<std::int64_t>(of_a_layer);
}

SweepGoal sweep_goal_named(const std::string& name) {
  if (name == "p99") return SweepGoal::kP99;
  return name == "per-rank" ? SweepGoal::kPerRank : SweepGoal::kThroughput;
}

double SweepRow::value(SweepGoal goal) const {
  if (goal == SweepGoal::kP99) return -result.step_times.quantile(0.99).count();
  const double tokens = result.tokens_per_second();
  return goal == SweepGoal::kPerRank ? tokens / static_cast<double>(point.ranks) : tokens;
}

Bytes SweepRow::bytes_moved() const {
  return std::accumulate(result.bytes.begin() + 1, result.bytes.end(), Bytes());  // not local
}

SweepVerdict judge_sweep(const std::vector<SweepRow>& rows, SweepGoal goal, std::uint64_t seed) {
  std::vector<Tradeoff> tradeoffs;
  for (const SweepRow& row : rows) {
    tradeoffs.push_back({row.value(goal), static_cast<double>(row.bytes_moved().count())});
  }
  const auto better_by = [&](std::size_t a, std::size_t b) {
    if (goal == SweepGoal::kP99) {
      return quantile_difference(rows[b].blocks, rows[a].blocks, 0.99,
                                 {.seed = seed, .resamples = 400});
    }
    const auto means = [&](const SweepRow& row) {
      const bool per_rank = goal == SweepGoal::kPerRank;
      return row.blocks.means(per_rank ? static_cast<double>(row.point.ranks) : 1);
    };
    return paired_difference(means(rows[b]), means(rows[a]), {.seed = seed});
  };
  SweepVerdict verdict{ranking_of(tradeoffs, better_by)};
  std::sort(verdict.tied.begin(), verdict.tied.end());
  const double best = tradeoffs[verdict.best].value;
  verdict.thrifty = cheapest_of_equals(
      verdict,
      [&](std::size_t row) { return tradeoffs[row].value >= best - kAsGood * std::abs(best); },
      [&](std::size_t a, std::size_t b) {
        return std::tuple(rows[a].memory, rows[a].bytes_moved()) <
               std::tuple(rows[b].memory, rows[b].bytes_moved());
      });
  return verdict;
}

}  // namespace moeshift
