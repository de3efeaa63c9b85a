// SPDX-License-Identifier: Apache-2.0
// The order in which layers are planned, staged, agreed on and committed: an explicit state machine
// without a clock or a transport. The simulator drives it with predicted durations, every rank of
// the executor with real ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace moeshift {

/// Where the rearrangement as a whole stands: the phase of its most advanced layer.
enum class RearrangementPhase : std::uint8_t {
  kIdle,        ///< nothing to do
  kPlanning,    ///< the policy computes the new placement
  kStaging,     ///< the next layer's weights travel into its buffer
  kReady,       ///< a layer is staged here and waits for everyone's vote
  kCommitting,  ///< voted: buffer to live slots, maps switched
};

[[nodiscard]] std::string_view name_of(RearrangementPhase phase);

/// Where one layer stands. A layer never goes back, except to kWaiting by `abort()`.
enum class LayerPhase : std::uint8_t { kWaiting, kStaging, kReady, kCommitting, kCommitted };

struct RearrangementLimits {
  std::size_t buffers = 1;           ///< layers that may be staged and not yet committed, >= 1
  std::size_t staged_at_once = 1;    ///< of those, how many may be under way at once, >= 1
  std::size_t commits_per_step = 1;  ///< at one step boundary; 0 = as many as are ready
};

/// IDLE -> PLANNING -> [ STAGING -> READY -> COMMITTING ] x layers -> IDLE.
///
/// Layers go in order, 0 .. layers-1 of the rearrangement (not of the model; the executor counts
/// units of its program, a batch of layers or a wave of one); at most `staged_at_once` are being
/// staged, at most `buffers` are staged or being staged and not committed. vLLM's worker is the
/// case {buffers 1, commits_per_step 1} (vllm/distributed/eplb/async_worker.py, eplb_state.py
/// `step`), where it waits on events; here every wait is a state that can be asked for and printed.
/// Every call that the current state does not allow is a bug of the caller (MOESHIFT_CHECK).
class Rearrangement {
 public:
  explicit Rearrangement(const RearrangementLimits& limits);

  [[nodiscard]] RearrangementPhase phase() const;
  [[nodiscard]] LayerPhase layer_phase(std::size_t layer) const;
  [[nodiscard]] bool idle() const { return phase() == RearrangementPhase::kIdle; }

  /// IDLE -> PLANNING.
  void begin();
  /// PLANNING -> STAGING, or back to IDLE when no layer changes.
  void planned(std::size_t layers);

  /// Only layers before this one may be staged from now on: the share of one step in layered mode.
  /// `planned` allows all.
  void allow(std::size_t layers) { allowed_ = layers; }
  /// The layer that may be staged now: planned, allowed, a buffer free, not too many being staged.
  [[nodiscard]] std::optional<std::size_t> next_to_stage() const;
  void staging_started();
  /// The oldest STAGING layer is staged; what is staged before its turn waits.
  void staging_finished();

  /// Layers that are staged here and wait for the vote.
  [[nodiscard]] std::size_t ready() const { return staged_ - voted_; }
  /// A step boundary at which all ranks had `agreed` layers ready (the smallest `ready()` of all
  /// ranks). @return how many to commit now, in order; they are COMMITTING until `committed()`.
  std::size_t vote(std::size_t agreed);
  /// The oldest COMMITTING layer is live; its buffer is free.
  void committed();

  /// Gives up: layers not yet COMMITTING fall back, those that are must still be finished.
  void abort();

  [[nodiscard]] std::size_t layers() const { return layers_; }
  [[nodiscard]] std::size_t layers_staged() const { return staged_; }
  [[nodiscard]] std::size_t layers_committed() const { return committed_; }

 private:
  RearrangementLimits limits_;
  bool planning_ = false;
  // committed_ <= voted_ <= staged_ <= started_ <= layers_: each counts layers that got that far.
  std::size_t layers_ = 0;
  std::size_t allowed_ = 0;
  std::size_t started_ = 0;
  std::size_t staged_ = 0;
  std::size_t voted_ = 0;
  std::size_t committed_ = 0;
};

}  // namespace moeshift
