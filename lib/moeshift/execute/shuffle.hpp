// SPDX-License-Identifier: Apache-2.0
// Performs a transfer plan with real buffers: staged, voted, committed, verified, layer by layer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "moeshift/core/units.hpp"
#include "moeshift/execute/backend.hpp"
#include "moeshift/execute/caller_weights.hpp"
#include "moeshift/execute/decision_log.hpp"
#include "moeshift/execute/observer.hpp"
#include "moeshift/execute/pattern.hpp"
#include "moeshift/model/placement.hpp"
#include "moeshift/model/timeline.hpp"
#include "moeshift/model/transfer_plan.hpp"

namespace moeshift {

enum class ShuffleMode : std::uint8_t {
  kSync,     ///< everything now; the model waits
  kLayered,  ///< some layers, a step of the model, some layers, ...
  kAsync,    ///< staged beside the model's steps, committed between two of them
};

/// How a layer goes live once all ranks have voted for it.
enum class CommitKind : std::uint8_t {
  kCopy,  ///< buffers are copied into the slots: for engines whose weights lie in one block
  kFlip,  ///< buffers become slots and slots become buffers: a table of pointers changes
};

/// What is to be done. The same on every rank.
struct ShuffleJob {
  const TransferPlan* plan = nullptr;
  const Placement* old = nullptr;   ///< [plan->layers.size(), ...] what the slots hold before
  const Placement* next = nullptr;  ///< and after
  ExpertLayouts layout;             ///< plan->sizes is layout.sizes()
  /// What every second repetition does: from `next` to `old` again, or on to a third placement and
  /// from there (by its own `back`) at last to `old`. Null when there is one repetition.
  const ShuffleJob* back = nullptr;
};

struct ShuffleOptions {
  CommitKind commit = CommitKind::kCopy;  ///< kFlip: all layers have slots of one size
  std::size_t buffers = 2;  ///< sets of staging buffers: how many batches are in flight
  ShuffleMode mode = ShuffleMode::kSync;
  std::size_t layers_per_step = 1;   ///< kLayered
  std::size_t commits_per_step = 1;  ///< kAsync: units live between two steps; 0 = all that can be
  ForegroundKind foreground = ForegroundKind::kNone;
  Seconds foreground_step{20e-3};          ///< how long one of its steps takes when undisturbed
  std::size_t undisturbed_steps = 0;       ///< foreground steps measured before the shuffle starts
  Seconds timeout{30.0};                   ///< of every phase of every layer
  std::optional<Bytes> pack_below;         ///< instead of what the transport likes
  std::optional<BytesPerSecond> max_rate;  ///< bytes that one rank may send per second
  /// Nothing is staged before all ranks have committed what came before: so that the time of each
  /// stage can be told.
  bool lockstep = false;
  std::size_t repeat = 1;  ///< rearrangements, there and back
  bool baseline = false;   ///< afterwards, time a plain ring, all-to-all and copies as well
  std::uint64_t seed = 0;  ///< of the weights
  /// The caller's own weights, moved where they lie; null: patterns in memory of the engine's. Not
  /// with kFlip, a baseline or experts of several layouts.
  const CallerWeights* weights = nullptr;
  bool verify = true;
  std::function<bool()> interrupted;        ///< the user wants to stop; may be empty
  std::vector<ShuffleObserver*> observers;  ///< told by all ranks of this process, at once
  DecisionLog* decisions = nullptr;         ///< null: there will be no resuming
};

/// One slot that does not hold what it should.
struct SlotFault {
  RankId rank;
  LayerId layer;
  std::size_t slot = 0;           ///< the rank's own slot number
  ExpertId expert;                ///< who should be there
  std::uint64_t wrong_bytes = 0;  ///< of the caller's weights: all, a fingerprint says not which
  std::uint64_t first_offset = 0;
};

/// What became of one layer on one rank.
struct LayerOutcome {
  LayerId layer;
  Phase phase = Phase::kPlanned;
  std::uint32_t epoch = 0;
  std::size_t waves_committed = 0;
  Seconds stage{0.0};   ///< from the first copy of its unit to the last arrival
  Seconds vote{0.0};    ///< from then to the unanimous vote
  Seconds commit{0.0};  ///< buffer to live
  /// Since the common start: when this rank had staged the layer's unit, and committed the layer.
  Seconds staged_at{0.0};
  Seconds committed_at{0.0};
  /// Of staging and commit: that the device was at it, by its own clock; 0 where it has none.
  Seconds stage_device{0.0};
  Seconds commit_device{0.0};
};

struct RankTimes {
  Seconds setup;    ///< joining, memory, patterns
  Seconds connect;  ///< first contact of all pairs
  Seconds total;    ///< from the common start to the last commit
  Seconds exposed;  ///< of it: what a foreground step had to wait (sync: all)
  Seconds verify;
};

/// What the transport does without a plan: as many bytes, in as many groups; and the memory: copies
/// of an expert's size, on all ranks at once.
struct BaselineTimes {
  Bytes bytes;  ///< that every rank sends and receives
  Seconds ring{0.0};
  Seconds all_to_all{0.0};
  Bytes copied;  ///< by every rank
  Seconds copy{0.0};
};

/// What one rank did and found.
struct RankOutcome {
  RankId rank;
  std::optional<Failure> failure;
  bool infeasible = false;  ///< the failure is a lack of memory found before anything was touched
  std::vector<LayerOutcome> layers;  ///< as TransferPlan::layers
  std::vector<SlotFault> faults;     ///< against what the journal says the layer holds
  std::uint64_t slots_verified = 0;
  RankTimes times;              ///< of the last repetition
  std::vector<Seconds> totals;  ///< RankTimes::total of every repetition
  std::optional<BaselineTimes> baseline;
  Bytes memory;
  std::vector<Seconds> undisturbed;  ///< foreground step times before
  std::vector<Seconds> disturbed;    ///< and during the shuffle, stalls included
  Timeline timeline;                 ///< seconds since the common start
  std::vector<std::pair<std::string, std::string>> facts;
};

/// Runs one rank to its end, on the calling thread. Never throws for what a device or a peer did:
/// that is in the outcome, together with which layers are old and which are new, checked byte by
/// byte where the memory can still be read.
///
/// Every rank of the world calls it with the same job and options. Invariants: no live slot is
/// written before all ranks have voted for its layer; after a failure every layer of this rank is
/// wholly old or wholly new (of several waves: wholly before or after each); no wait is longer
/// than the timeout.
/// @throws InputError for options that do not go with the caller's weights.
[[nodiscard]] RankOutcome run_rank(Member& member, const ShuffleJob& job,
                                   const ShuffleOptions& options);

/// Joins and runs this process's ranks, each on a thread of its own.
/// @return the outcomes of the local ranks; on the process that hosts rank 0, and if nothing
///         failed, those of all ranks.
[[nodiscard]] std::vector<RankOutcome> run_world(World& world, const ShuffleJob& job,
                                                 const ShuffleOptions& options);

/// The memory that each rank of the plan will take, before anything is taken.
[[nodiscard]] std::vector<Bytes> memory_needed(const ShuffleJob& job, const ShuffleOptions& options,
                                               Bytes pack_below);

}  // namespace moeshift
