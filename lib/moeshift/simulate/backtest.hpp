// SPDX-License-Identifier: Apache-2.0
// Never rebalance, once, or again and again? All of them served the same traffic, out of sample.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "moeshift/simulate/lane.hpp"
#include "moeshift/simulate/replay.hpp"
#include "moeshift/simulate/step_blocks.hpp"

namespace moeshift {

/// How a lane of a backtest rebalances.
enum class Habit : std::uint8_t {
  kNever,      ///< no rebalancing, and no slots for it: the placement without stays
  kOnce,       ///< one plan after the warm-up, then never again
  kEvery,      ///< first after the warm-up, then every `interval` steps
  kOracle,     ///< every `interval` steps, knowing what comes, with moves that cost nothing
  kObjective,  ///< as kOnce, by a planner of its own: which objective serves best
};

struct BacktestLane {
  std::string name;
  Habit habit = Habit::kNever;
  std::uint64_t interval = 0;  ///< served steps; kEvery and kOracle
  std::string objective;       ///< kObjective: what its plan balances
  LaneResult result;           ///< all steps, the warm-up included
  StepBlocks blocks;           ///< steps after the warm-up
};

struct BacktestOptions {
  std::shared_ptr<const Planner> planner;
  std::string policy = {};  ///< its name, which says what it looks ahead with (presets.hpp)
  /// Objectives and who plans for them; each gets a lane that plans once.
  std::vector<std::pair<std::string, std::shared_ptr<const Planner>>> objectives = {};
  ModeOptions mode = {};
  DispatchOptions dispatch = {};
  std::optional<double> min_gain_over_cost = 1;  ///< as DecisionRule
  std::uint64_t warm_up = 1;             ///< served steps that everybody spends as at the start
  std::vector<std::uint64_t> intervals;  ///< served steps, ascending
  std::uint64_t seed = 0;
};

/// Serves the whole trace under every habit, `never` from the placement `without` and the others
/// from `initial`: never, once, every interval, and the oracle on the
/// shortest interval, and once for each further objective, in this order. A plan is made from the
/// steps of one interval before it (the warm-up for the first): their mean, or an average that
/// forgets as fast where an interval is too long to keep; `robust` plans on sixteen such windows.
/// The first plan is what serving starts with when the warm-up is over, as a plan that is loaded
/// from a file; later moves have their price. Nobody but the oracle sees a step before it is
/// served. Deterministic for any number of threads.
[[nodiscard]] std::vector<BacktestLane> backtest(const StepSource& source,
                                                 const Deployment& deployment,
                                                 const Placement& without, const Placement& initial,
                                                 const BacktestOptions& options,
                                                 const ReplayOptions& replay_options,
                                                 Progress& progress);

/// Intervals worth trying on `recorded` steps of `repeat` forward passes each: powers of two of
/// recorded steps, at most a quarter of the trace, at least a 1024th, at most `most` of them,
/// ascending.
[[nodiscard]] std::vector<std::uint64_t> backtest_intervals(std::uint64_t recorded,
                                                            std::uint64_t repeat,
                                                            std::size_t most = 5);

}  // namespace moeshift
