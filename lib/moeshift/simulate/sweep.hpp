// SPDX-License-Identifier: Apache-2.0
// All combinations of policies, ranks, slots and intervals, served the same trace.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "moeshift/core/units.hpp"
#include "moeshift/judge/ranking.hpp"
#include "moeshift/model/moe_model.hpp"
#include "moeshift/simulate/lane_result.hpp"
#include "moeshift/simulate/step_blocks.hpp"

namespace moeshift {

/// One combination.
struct SweepPoint {
  std::string policy;
  std::size_t ranks = 0;
  std::size_t slots = 0;
  std::uint64_t interval = 0;  ///< 0: never, for `static`
  std::string forecaster;      ///< "": as the engine that is imitated

  [[nodiscard]] std::string name() const;
};

struct SweepGrid {
  std::vector<std::string> policies;
  std::vector<std::size_t> ranks;
  std::vector<std::size_t> slots;
  std::vector<std::uint64_t> intervals;
  std::vector<std::string> forecasters;  ///< none: as the engine that is imitated

  /// `static` once per ranks and slots and always there, the others with every interval and
  /// forecaster.
  [[nodiscard]] std::vector<SweepPoint> points() const;
};

/// Bytes of expert weights that the fullest rank holds: its slots in all layers and, unless the
/// policy is `static`, `buffers` staging buffers of one layer's slots each.
[[nodiscard]] Bytes expert_memory(const MoeModel& model, const SweepPoint& point,
                                  std::size_t buffers);

/// What the best is best at.
enum class SweepGoal { kThroughput, kPerRank, kP99 };
[[nodiscard]] SweepGoal sweep_goal_named(const std::string& name);

struct SweepRow {
  SweepPoint point;
  Bytes memory;  ///< expert weights per rank
  LaneResult result;
  StepBlocks blocks;

  /// Tokens/s, tokens/s and rank, or -p99 in seconds: more is better.
  [[nodiscard]] double value(SweepGoal goal) const;
  [[nodiscard]] Bytes bytes_moved() const;
};

/// Who is best and how sure that is. What a row is behind is seconds of a step (times ranks for
/// kPerRank; of the p99 for kP99), paired by blocks of steps; it costs the bytes that it moves.
struct SweepVerdict : Ranking {
  std::size_t thrifty = 0;  ///< of best and tied within 1 % of it: least memory, then bytes
};

/// @param rows at least one, which served the same steps.
[[nodiscard]] SweepVerdict judge_sweep(const std::vector<SweepRow>& rows, SweepGoal goal,
                                       std::uint64_t seed);

}  // namespace moeshift
