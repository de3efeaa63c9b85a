// SPDX-License-Identifier: Apache-2.0
// A rearrangement beside serving: what it does at every step boundary and during every step.
#pragma once

#include <cstddef>
#include <vector>

#include "moeshift/core/units.hpp"
#include "moeshift/model/rearrangement.hpp"
#include "moeshift/simulate/mode.hpp"
#include "moeshift/simulate/rearrangement_work.hpp"

namespace moeshift {

/// Drives the state machine of model/rearrangement.hpp with predicted durations.
///
/// - sync: one boundary takes plan + connections + the pipelined total, and commits every layer.
/// - layered:n: each boundary takes the pipelined time of the next n layers (the first one also
///   plan + connections) and commits them.
/// - async: planning, then staging, run during steps; every boundary while anything is in flight
///   takes one vote, and the commit of each layer that it commits.
/// - trickle: every step carries at most trickle_bytes of what is under way; the boundary after the
///   last byte takes one vote and all commits. How many steps that takes follows from the bytes and
///   is known to all ranks, so that the boundaries in between need no vote. It plans for itself.
class RearrangementRun {
 public:
  explicit RearrangementRun(const ModeOptions& mode);

  [[nodiscard]] bool idle() const { return machine_.idle(); }
  [[nodiscard]] RearrangementPhase phase() const { return machine_.phase(); }

  /// Starts a rearrangement. Only when idle.
  void begin(RearrangementWork work);

  struct Boundary {
    Seconds stall;                   ///< serving stands still
    std::vector<LayerId> committed;  ///< switched to the new placement
  };
  /// The boundary before the next step.
  Boundary at_boundary();
  /// Gives up what is not yet committed: a rank has gone.
  void abort();

  /// What would run beside a very long step that starts now.
  struct Background {
    Seconds quiet;        ///< first: planning, which uses no link
    Seconds busy;         ///< then: buffers being staged
    BytesByLink bytes{};  ///< of what is still to stage: says which links are busy
  };
  [[nodiscard]] Background background() const;

  /// A step took so long: planning and staging went on beside it.
  /// @return how much of it they were at work.
  Seconds advance(Seconds step);

 private:
  [[nodiscard]] Boundary stop_and_move(std::size_t layers);
  [[nodiscard]] Boundary vote_and_commit();
  [[nodiscard]] Boundary commit_trickle();
  [[nodiscard]] Bytes step_share() const;
  void advance_trickle(Seconds spent, Seconds busy);
  void start_next_layer();

  ModeOptions mode_;
  Rearrangement machine_;
  RearrangementWork work_;
  Seconds planning_left_;
  Seconds staging_left_;
  Bytes trickle_left_;
};

/// How long a step takes that needs `alone` by itself and `contended` while staging is busy, if
/// that starts after `quiet` and lasts `busy`: progress runs at 1/alone, then 1/contended, then
/// 1/alone again. Closed form.
[[nodiscard]] Seconds step_beside(Seconds alone, Seconds contended, Seconds quiet, Seconds busy);

}  // namespace moeshift
