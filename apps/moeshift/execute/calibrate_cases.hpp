// SPDX-License-Identifier: Apache-2.0
// Rearrangements that tell the costs of the engine apart, and others to judge the fit by.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "moeshift/core/parallel.hpp"
#include "moeshift/cost/engine_fit.hpp"
#include "moeshift/execute/engine/rehearse.hpp"
#include "moeshift/model/placement.hpp"
#include "moeshift/model/topology.hpp"
#include "moeshift/model/transfer_plan.hpp"
#include "moeshift/schedule/scheduler.hpp"

namespace moeshift::cli {

/// How one set of rearrangements is done.
enum class CaseMode : std::uint8_t { kSync, kLockstep, kLayered, kAsync };
[[nodiscard]] std::string_view name_of(CaseMode mode);

/// A ring of placements of one shape: each is rearranged into the next, the last into the first.
/// Fresh plans leave few experts in their slots, full ones (of vllm's planner) as many as they can,
/// incremental ones move few.
struct CalibrationCase {
  CaseMode mode = CaseMode::kSync;
  Bytes expert;
  std::vector<std::string> kinds;  ///< [plans] "full", "incremental", "fresh"
  std::vector<Placement> placements;
  std::vector<TransferPlan> plans;
  ExpertLayouts layout;
  std::size_t buffers = 2;      ///< sets of staging buffers
  std::deque<ShuffleJob> jobs;  ///< each the `back` of the one before

  [[nodiscard]] std::size_t layers() const { return plans.front().layers.size(); }
};

struct CaseShape {
  Topology topology;
  Bytes largest;  ///< an expert
  Bytes room;     ///< for the live experts of a rank in one case; larger cases have fewer layers
  Joining join;   ///< as the transport likes it
  std::size_t sets_of_small_batches = 2;  ///< likewise
  Bytes little = {};                      ///< moved on a rank in less than a millisecond
  Seconds step = {};                      ///< of the model, in CaseMode::kAsync
  std::uint64_t seed = 0;
};

/// Sizes from 32 KiB to the largest, few and many layers, in sync and in lockstep.
[[nodiscard]] std::deque<CalibrationCase> training_cases(const CaseShape& shape, Threads threads);
/// Other sizes, 3, 16 and 58 layers, other loads, in all modes; the fit has seen none of them.
[[nodiscard]] std::deque<CalibrationCase> held_out_cases(const CaseShape& shape, Threads threads);

/// The ring, gone round once more than `rounds` times: the first round warms up. Every round is
/// verified, as a user's is: after the pause a rearrangement takes longer.
[[nodiscard]] Rehearsal rehearsal_of(const CalibrationCase& ring, const CaseShape& shape,
                                     std::size_t rounds, std::uint64_t seed);
/// How many times as often as others the ring is gone round: what takes less than a millisecond is
/// late by a good part of that whenever a thread has to be woken, in some runs and not in others.
[[nodiscard]] std::size_t repeated(const CalibrationCase& ring, const CaseShape& shape);
/// How the model is to price the ring.
[[nodiscard]] CostOptions cost_options_of(const CalibrationCase& ring, Seconds step);

}  // namespace moeshift::cli
