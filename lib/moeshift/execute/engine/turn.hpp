// SPDX-License-Identifier: Apache-2.0
// One rearrangement of one rank, from the first copy to the last commit: staged, voted, committed.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "moeshift/execute/engine/committer.hpp"
#include "moeshift/execute/engine/pipeline.hpp"
#include "moeshift/execute/engine/rank_context.hpp"
#include "moeshift/model/rearrangement.hpp"

namespace moeshift {

/// Two-phase commit, unit by unit: a rank votes for what it has staged, and commits what all have
/// voted for, while later units are being staged.
class Turn {
 public:
  /// All outlive the turn. @param foreground the load beside it; null = none.
  Turn(RankContext& context, const ShuffleJob& job, const RankProgram& program,
       const RankMemory& memory, Foreground* foreground);

  /// @throws ShuffleFailure, DeviceError; then settle() is called.
  void run();
  /// After a failure, and before the transport is aborted: what this rank has voted for goes live
  /// if it does elsewhere, and is withdrawn for all if not.
  /// @throws DeviceError.
  void settle();
  /// What the pipeline was busy with when it threw, if that is what threw.
  [[nodiscard]] std::optional<WaitTopic> staging() const;

 private:
  struct Vote {
    std::unique_ptr<Gathering> said;
    SteadyClock::time_point cast;
    std::optional<std::size_t> counted = {};  ///< once all have said theirs
  };

  void depart() const;
  void keep_unchanged_layers() const;
  [[nodiscard]] std::size_t allowed_until() const;
  void stage_front();
  [[nodiscard]] Vote cast_vote();
  [[nodiscard]] std::size_t count(const Vote& vote);
  void commit_until(std::size_t units);
  void meet(const WaitTopic& topic);
  [[nodiscard]] Vote voting_step(Seconds stalled);
  void go_ahead(std::size_t units);
  void foreground_step(Seconds stalled, const std::function<void()>& beside = {});
  [[nodiscard]] PipelineEvents events();
  void staged(const Flight& flight);
  [[nodiscard]] Stretch staging_of(const Flight& flight) const;
  [[nodiscard]] const StagingUnit& front() const;
  [[nodiscard]] WaitTopic topic(const StagingUnit& unit, Phase phase, const char* wanted) const;

  RankContext& context_;
  const ShuffleJob& job_;
  const RankProgram& program_;
  const RankMemory& memory_;
  Foreground* foreground_;
  Rearrangement machine_;  ///< counts units of the program
  Pipeline pipeline_;
  Committer committer_;
  std::size_t voted_ = 0;  ///< units that this rank has voted for
};

}  // namespace moeshift
