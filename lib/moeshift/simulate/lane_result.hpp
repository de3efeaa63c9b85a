// SPDX-License-Identifier: Apache-2.0
// What one policy came to on one trace.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "moeshift/core/units.hpp"
#include "moeshift/simulate/latency_histogram.hpp"
#include "moeshift/simulate/rearrangement_work.hpp"
#include "moeshift/simulate/world_event.hpp"

namespace moeshift {

/// One rearrangement: what it promised, what it took, what it gave. In trickle mode one record
/// stands for the whole run.
struct RearrangementRecord {
  enum class Cause : std::uint8_t {
    kDecision,  ///< the policy wanted it
    kResize,    ///< ranks joined or left
  };
  Cause cause = Cause::kDecision;
  std::uint64_t step = 0;                      ///< served steps when it was decided
  std::optional<std::uint64_t> finished_step;  ///< absent: still under way at the end
  std::size_t layers = 0;                      ///< layers that changed
  std::size_t transfers = 0;
  BytesByLink bytes{};
  Seconds predicted;                 ///< the cost model's wall time, all layers pipelined
  Seconds exposed;                   ///< time that serving lost: stalls and contention
  Seconds overlapped;                ///< planning and staging beside serving
  Seconds predicted_gain;            ///< per step, on the forecast
  Seconds gained;                    ///< so far, against the layers as they were before
  std::uint64_t steps_in_force = 0;  ///< steps since the first of its layers was committed

  /// Steps after which gain per step has paid for `exposed`; absent when it gains nothing.
  [[nodiscard]] std::optional<double> break_even_steps() const;
};

/// Why the decisions that were due came out as they did.
struct DecisionCounts {
  std::uint64_t due = 0;
  std::uint64_t postponed = 0;   ///< a rearrangement was still under way (counted once each)
  std::uint64_t balanced = 0;    ///< balancedness above the threshold
  std::uint64_t hysteresis = 0;  ///< not much worse than what was planned last
  std::uint64_t too_costly = 0;  ///< the gain over the horizon would not pay
  std::uint64_t unchanged = 0;   ///< the policy would move nothing
  std::uint64_t rearranged = 0;
};

struct LaneResult {
  std::string name;
  std::uint64_t steps = 0;
  double tokens = 0;  ///< served
  LatencyHistogram step_times;
  Seconds exposed;  ///< stalls and contention, part of the step times
  Seconds overlapped;
  Seconds outage;  ///< lost experts being read from storage, part of the step times
  BytesByLink bytes{};
  double balancedness = 0;     ///< mean over steps and layers of mean_g R / max_g R
  double staleness_steps = 0;  ///< mean over steps of the age of the newest load planned on
  DecisionCounts decisions;
  std::uint64_t layers_moved = 0;
  std::uint64_t longest_rearrangement_steps = 0;
  /// The first kRecordsKept ones; `decisions.rearranged` counts all.
  std::vector<RearrangementRecord> rearrangements;
  std::vector<WorldEventRecord> events;

  static constexpr std::size_t kRecordsKept = 1000;

  [[nodiscard]] double tokens_per_second() const;
  /// Mean, as a whole number; 0 without steps.
  [[nodiscard]] std::uint64_t tokens_per_step() const;
};

}  // namespace moeshift
