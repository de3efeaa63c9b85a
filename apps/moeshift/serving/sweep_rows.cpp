// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/serving/sweep_rows.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>

#include <fmt/format.h>

#include "moeshift/report/table.hpp"

namespace moeshift::cli {
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

std::optional<std::string> shape_refusal(const SweepPoint& point, const MoeModel& model,
                                         std::size_t buffers, Bytes limit) {
  if (point.slots % point.ranks != 0) {
    return fmt::format("{} slots do not divide by {} ranks", point.slots, point.ranks);
  }
  if (point.slots < model.num_experts) {
    return fmt::format("{} slots cannot hold {} experts", point.slots, model.num_experts);
  }
  const Bytes needed = expert_memory(model, point, buffers);
  if (needed <= limit) return std::nullopt;
  return fmt::format("experts take {} per rank, {} are allowed", human(needed), human(limit));
}

Goal goal_named(const std::string& name) {
  if (name == "p99") return Goal::kP99;
  return name == "per-rank" ? Goal::kPerRank : Goal::kThroughput;
}

double SweepRow::value(Goal goal) const {
  if (goal == Goal::kP99) return -result.step_times.quantile(0.99).count();
  const double tokens = result.tokens_per_second();
  return goal == Goal::kPerRank ? tokens / static_cast<double>(point.ranks) : tokens;
}

Bytes SweepRow::bytes_moved() const {
  return std::accumulate(result.bytes.begin() + 1, result.bytes.end(), Bytes());  // not local
}

SweepVerdict judge_sweep(const std::vector<SweepRow>& rows, Goal goal, std::uint64_t seed) {
  SweepVerdict verdict;
  std::vector<Tradeoff> tradeoffs;
  for (const SweepRow& row : rows) {
    tradeoffs.push_back({row.value(goal), static_cast<double>(row.bytes_moved().count())});
  }
  verdict.pareto = pareto_optimal(tradeoffs);
  std::vector<std::size_t> order(rows.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return tradeoffs[a].value > tradeoffs[b].value;
  });
  verdict.best = order.front();
  if (order.size() > 1) verdict.runner_up = order[1];
  const SweepRow& best = rows[verdict.best];
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const SweepRow& row = rows[i];
    if (goal == Goal::kP99) {
      verdict.behind.push_back(
          quantile_difference(row.blocks, best.blocks, 0.99, {.seed = seed, .resamples = 400}));
    } else {
      const bool per_rank = goal == Goal::kPerRank;
      verdict.behind.push_back(paired_difference(
          row.blocks.means(per_rank ? static_cast<double>(row.point.ranks) : 1),
          best.blocks.means(per_rank ? static_cast<double>(best.point.ranks) : 1), {.seed = seed}));
    }
    if (i != verdict.best && !verdict.behind.back().certain()) verdict.tied.push_back(i);
  }
  std::vector<std::size_t> group = {verdict.best};
  for (const std::size_t row : verdict.tied) {
    if (tradeoffs[row].value >= best.value(goal) - kAsGood * std::abs(best.value(goal))) {
      group.push_back(row);
    }
  }
  verdict.thrifty =
      *std::min_element(group.begin(), group.end(), [&](std::size_t a, std::size_t b) {
        return std::tuple(rows[a].memory, rows[a].bytes_moved(), a) <
               std::tuple(rows[b].memory, rows[b].bytes_moved(), b);
      });
  return verdict;
}

}  // namespace moeshift::cli
