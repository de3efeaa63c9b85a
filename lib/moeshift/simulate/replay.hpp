// SPDX-License-Identifier: Apache-2.0
// A trace, read once, served by any number of lanes side by side.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "moeshift/core/parallel.hpp"
#include "moeshift/core/progress.hpp"
#include "moeshift/model/load.hpp"
#include "moeshift/simulate/lane.hpp"

namespace moeshift {

/// Overwrites the step with the next one of a trace; false at its end.
using StepSource = std::function<bool(TraceStep&)>;

struct ReplayOptions {
  /// Every recorded step is scaled to this many tokens; absent = served as recorded. For traces
  /// whose "steps" are sums over many forward passes.
  std::optional<double> tokens_per_step = {};
  /// Forward passes that each recorded step stands for. Without tokens_per_step they share its
  /// tokens evenly.
  std::size_t repeat = 1;
  /// Without tokens_per_step: a pass with more tokens than this per serving rank is no forward pass
  /// but a sum of them, and is served as the fewest equal passes that each hold no more. Tokens are
  /// conserved. Absent: never.
  std::optional<double> most_tokens_per_rank = {};
  /// How many there are, for progress; absent: not known before the end.
  std::optional<std::uint64_t> recorded_steps = {};
  Threads threads = {};  ///< lanes run side by side, and beside the reading of what follows
};

/// Feeds one lane: as the trace goes, or, for the oracle, one window at a time, re-planning for
/// each window before it is served. An oracle's window is held in memory as floats: at most
/// kOracleBytes, so a longer interval is cut (which only makes the oracle stronger).
class LaneFeed {
 public:
  explicit LaneFeed(Lane& lane) : lane_(lane) {}

  void push(const LoadMatrix& load, std::size_t repeat);
  void finish();

  static constexpr std::size_t kOracleBytes = std::size_t{256} << 20U;

 private:
  void serve(const LoadMatrix& load, std::size_t repeat);
  void flush();

  Lane& lane_;
  std::vector<std::vector<float>> window_;  // of the oracle
  std::vector<std::size_t> repeats_;        // of each load in it
  std::size_t steps_ = 0;                   // in it, repeats counted
  LoadMatrix load_;                         // shape and memory to serve from
};

/// Serves the whole trace in every lane. Steps are read in blocks of bounded memory, by any of the
/// threads but one after another; each lane's result is the same for any number of threads.
/// @return recorded steps read.
/// @throws InputError when the trace has no step, or a step no load to scale.
std::uint64_t replay(const StepSource& source, std::span<Lane* const> lanes,
                     const ReplayOptions& options, Progress& progress);

}  // namespace moeshift
