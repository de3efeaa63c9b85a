// SPDX-License-Identifier: Apache-2.0
#include "moeshift/simulate/backtest.hpp"

#include <algorithm>
#include <deque>
#include <limits>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/simulate/presets.hpp"

namespace moeshift {
namespace {

/// The loads of a long window are not kept, but faded out.
std::string forecaster_for(std::uint64_t steps) {
  constexpr std::uint64_t kLongestKept = 64;
  if (steps <= kLongestKept) return fmt::format("mean:{}", std::max<std::uint64_t>(steps, 1));
  return fmt::format("ewma:{}", 2.0 / static_cast<double>(steps + 1));
}

LaneSettings settings_of(const BacktestLane& lane, const BacktestOptions& options) {
  LaneSettings settings;
  settings.name = lane.name;
  settings.dispatch = options.dispatch;
  settings.seed = options.seed;
  if (lane.habit == Habit::kNever) return settings;
  settings.planner = options.planner;
  for (const auto& [objective, planner] : options.objectives) {
    if (objective == lane.objective) settings.planner = planner;
  }
  settings.mode = options.mode;
  settings.starts_planned = true;
  settings.rule.min_gain_over_cost = options.min_gain_over_cost;
  settings.rule.first = options.warm_up;
  settings.rule.interval = lane.interval;
  settings.forecaster =
      usual_forecaster(options.policy, lane.interval, forecaster_for(lane.interval));
  if (lane.habit == Habit::kOnce || lane.habit == Habit::kObjective) {
    settings.rule.interval = std::numeric_limits<std::uint64_t>::max() / 2;
    settings.rule.min_gain_over_cost.reset();
    const std::string policy = lane.habit == Habit::kOnce ? options.policy : "";
    settings.forecaster = usual_forecaster(policy, std::max<std::uint64_t>(options.warm_up / 16, 1),
                                           forecaster_for(options.warm_up));
  }
  if (lane.habit == Habit::kOracle) {
    settings.oracle = true;
    settings.price = TransferPrice::kFree;
  }
  return settings;
}

}  // namespace

std::vector<BacktestLane> backtest(const StepSource& source, const Deployment& deployment,
                                   const Placement& without, const Placement& initial,
                                   const BacktestOptions& options,
                                   const ReplayOptions& replay_options, Progress& progress) {
  MOESHIFT_CHECK(options.planner != nullptr && !options.intervals.empty());
  std::vector<BacktestLane> outcome;
  const auto add = [&](std::string name, Habit habit, std::uint64_t interval) {
    BacktestLane lane;
    lane.name = std::move(name);
    lane.habit = habit;
    lane.interval = interval;
    lane.blocks = StepBlocks(options.warm_up);
    outcome.push_back(std::move(lane));
  };
  add("never", Habit::kNever, 0);
  add("once", Habit::kOnce, 0);
  for (const std::uint64_t interval : options.intervals) {
    add(interval == 1 ? "every step" : fmt::format("every {} steps", interval), Habit::kEvery,
        interval);
  }
  add("oracle", Habit::kOracle, options.intervals.front());
  for (const auto& [objective, planner] : options.objectives) {
    add(fmt::format("once, for {}", objective), Habit::kObjective, 0);
    outcome.back().objective = objective;
  }

  std::deque<Lane> lanes;
  std::deque<BlockRecorder> recorders;
  std::vector<Lane*> pointers;
  for (BacktestLane& lane : outcome) {
    lanes.emplace_back(settings_of(lane, options), deployment,
                       lane.habit == Habit::kNever ? without : initial);
    lanes.back().observe_with(&recorders.emplace_back(lane.blocks));
  }
  for (Lane& lane : lanes) pointers.push_back(&lane);
  (void)replay(source, pointers, replay_options, progress);
  for (std::size_t i = 0; i < lanes.size(); ++i) outcome[i].result = lanes[i].result();
  return outcome;
}

std::vector<std::uint64_t> backtest_intervals(std::uint64_t recorded, std::uint64_t repeat,
                                              std::size_t most) {
  std::vector<std::uint64_t> intervals;
  constexpr std::uint64_t kMostPlans = 1024;
  std::uint64_t steps = 1;
  while (recorded / steps > kMostPlans) steps *= 2;
  for (; intervals.empty() || 4 * steps <= recorded; steps *= 2) {
    intervals.push_back(steps * repeat);
  }
  if (intervals.size() <= most) return intervals;
  // Evenly over the powers, shortest and longest included.
  std::vector<std::uint64_t> chosen;
  for (std::size_t i = 0; i < most; ++i) {
    chosen.push_back(intervals[i * (intervals.size() - 1) / (most - 1)]);
  }
  return chosen;
}

}  // namespace moeshift
