// SPDX-License-Identifier: Apache-2.0
// How far a calibration is: its rehearsals take most of the time, and unlike each other.
#pragma once

#include <deque>
#include <vector>

#include "moeshift/core/progress.hpp"
#include "moeshift/execute/engine/probe.hpp"

#include "apps/moeshift/execute/shuffle_progress.hpp"

namespace moeshift::cli {

/// Turns of probes and rehearsals as one work, each by the bytes that it sends through memory.
/// Listens to `job`, which it outlives.
class CalibrationProgress {
 public:
  CalibrationProgress(Progress& progress, ProbeJob& job);
  CalibrationProgress(const CalibrationProgress&) = delete;
  CalibrationProgress& operator=(const CalibrationProgress&) = delete;

 private:
  [[nodiscard]] double whole() const { return ends_.empty() ? 0 : ends_.back(); }

  Progress& progress_;
  std::vector<double> ends_;  ///< of every turn and rehearsal, in work
  std::deque<ShuffleProgress> inside_;
};

}  // namespace moeshift::cli
