// SPDX-License-Identifier: Apache-2.0
// All combinations of policies, ranks, slots and intervals, served the same trace.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "moeshift/core/units.hpp"
#include "moeshift/model/moe_model.hpp"
#include "moeshift/simulate/lane_result.hpp"
#include "moeshift/simulate/paired_difference.hpp"
#include "moeshift/simulate/step_blocks.hpp"

namespace moeshift::cli {

/// One combination.
struct SweepPoint {
  std::string policy;
  std::size_t ranks = 0;
  std::size_t slots = 0;
  std::uint64_t interval = 0;  ///< 0: never, for `static`
  std::string forecaster;      ///< "": as the engine that is imitated

  [[nodiscard]] std::string name() const;
};

/// A combination that cannot be, and why.
struct Refused {
  SweepPoint point;
  std::string reason;
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

/// Why a point cannot be: slots that do not divide or do not suffice, more memory than `limit`.
[[nodiscard]] std::optional<std::string> shape_refusal(const SweepPoint& point,
                                                       const MoeModel& model, std::size_t buffers,
                                                       Bytes limit);

/// What the best is best at.
enum class Goal { kThroughput, kPerRank, kP99 };
[[nodiscard]] Goal goal_named(const std::string& name);

struct SweepRow {
  SweepPoint point;
  Bytes memory;  ///< expert weights per rank
  LaneResult result;
  StepBlocks blocks;

  /// Tokens/s, tokens/s and rank, or -p99 in seconds: more is better.
  [[nodiscard]] double value(Goal goal) const;
  [[nodiscard]] Bytes bytes_moved() const;
};

/// Who is best and how sure that is.
struct SweepVerdict {
  std::size_t best = 0;
  std::optional<std::size_t> runner_up;
  /// [rows] how much worse than the best, in seconds of a step (times ranks for kPerRank; of the
  /// p99 for kP99), paired by blocks of steps.
  std::vector<PairedDifference> behind;
  std::vector<std::size_t> tied;  ///< rows that chance may have put behind the best
  std::size_t thrifty = 0;        ///< of best and tied within 1 % of it: least memory, then bytes
  std::vector<bool> pareto;       ///< [rows] goal against bytes moved
};

[[nodiscard]] SweepVerdict judge_sweep(const std::vector<SweepRow>& rows, Goal goal,
                                       std::uint64_t seed);

}  // namespace moeshift::cli
