// SPDX-License-Identifier: Apache-2.0
// How long exchanges, copies and agreements take on a transport: what calibration is made from.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "moeshift/core/ids.hpp"
#include "moeshift/core/units.hpp"
#include "moeshift/execute/backend.hpp"
#include "moeshift/execute/engine/rehearse.hpp"

namespace moeshift {

/// One message of an exchange to be timed.
struct ProbeTransfer {
  RankId source;
  RankId destination;
  Bytes bytes;
};

struct ProbeJob {
  /// Each with at most one transfer per (source, destination).
  std::vector<std::vector<ProbeTransfer>> exchanges;
  std::vector<Bytes> copies;  ///< sizes copied inside one rank, and inside all ranks at once
  std::size_t repetitions = 7;
  /// Memory that a rank sends from, and as much that it receives into: repetitions walk through it,
  /// so that no cache holds what a rearrangement would find in memory.
  Bytes working_set{std::int64_t{64} << 20};
  std::vector<Rehearsal> rehearsals;  ///< afterwards, one after the other
  Seconds timeout{30.0};
  std::function<bool()> interrupted;
  /// Told by rank 0, after each turn and each rehearsal, how many of all are over.
  std::function<void(std::size_t done, std::size_t total)> progressed = {};
};

struct ProbeTimes {
  std::vector<std::vector<Seconds>> exchanges;  ///< [exchanges][repetitions], the slowest rank's
  std::vector<std::vector<Seconds>> copies;     ///< [copies][repetitions], of rank 0 alone
  std::vector<std::vector<Seconds>> copies_together;  ///< on all ranks, until the last is done
  std::vector<Seconds> agreements;                    ///< all-gathers of a few bytes
  Seconds connect;                                    ///< rank 0 connecting to all others
  std::vector<RehearsedTimes> rehearsed;              ///< as ProbeJob::rehearsals
};

/// Times everything on all ranks of the world, each on a thread of its own where they live here.
///
/// Everything is run in turn, the whole turn again and again, the first one unmeasured: what
/// disturbs the machine for a while disturbs a repetition of each, not all of one. All ranks agree
/// to begin before each exchange.
/// @return the times, on the process that hosts rank 0; elsewhere they are empty.
/// @throws DeviceError when a rank fails or a phase takes longer than the timeout.
[[nodiscard]] ProbeTimes run_probes(World& world, const ProbeJob& job);

}  // namespace moeshift
