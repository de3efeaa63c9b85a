// SPDX-License-Identifier: Apache-2.0
// From the vote to live: the only place where a live slot is written.
#pragma once

#include <exception>
#include <functional>
#include <string>
#include <vector>

#include "moeshift/execute/engine/pipeline.hpp"
#include "moeshift/execute/engine/rank_context.hpp"

namespace moeshift {

/// "layer 3", "layers 3-7", "layer 3 wave 1".
[[nodiscard]] std::string name_of(const StagingUnit& unit, const ShuffleJob& job);

/// Commits the units of one rearrangement, each in one go: what has begun is brought to its end
/// whatever peers do. With a decision log, nothing goes live before the log says so.
class Committer {
 public:
  Committer(RankContext& context, const ShuffleJob& job, const RankProgram& program,
            const RankMemory& memory)
      : context_(context), job_(job), program_(program), memory_(memory) {}

  /// Every rank has voted for the unit. @param beside called while it waits; what that throws is
  /// thrown once the unit is live.
  /// @throws ShuffleFailure when a peer has withdrawn it, before anything is written; DeviceError.
  void commit(const Flight& flight, const std::function<void()>& beside);

  /// After a failure: this rank has voted for the unit and does not know whether others go live.
  /// @return whether it went live here, because it is, or will be, live elsewhere.
  /// @throws DeviceError.
  bool settle(const Flight& flight);

 private:
  [[nodiscard]] Verdict decide(const StagingUnit& unit, Verdict wanted) const;
  void go_live(const Flight& flight, const std::function<void()>& beside);
  void commit_together(const std::vector<const LayerCommit*>& commits, std::size_t set,
                       const std::function<void()>& beside);
  /// All layers from their buffers into their slots. @return the device's time.
  [[nodiscard]] Seconds copy(const std::vector<const LayerCommit*>& commits, std::size_t set,
                             const std::function<void()>& beside);
  /// All layers by changing the table of slots.
  [[nodiscard]] Seconds flip(const std::vector<const LayerCommit*>& commits, std::size_t set,
                             const std::function<void()>& beside);
  [[nodiscard]] Seconds finish(Pending& work, const std::function<void()>& beside);

  RankContext& context_;
  const ShuffleJob& job_;
  const RankProgram& program_;
  const RankMemory& memory_;
  std::exception_ptr trouble_;  ///< of what went on beside a layer, until the unit is live
};

}  // namespace moeshift
