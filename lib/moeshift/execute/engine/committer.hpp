// SPDX-License-Identifier: Apache-2.0
// From the vote to live: the only place where a live slot is written.
#pragma once

#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <span>
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
  /// @param model what serves meanwhile, between whose steps units go live; null where nothing
  /// does. A change of the table is put on its stream: the next step sees it, and nobody waits for
  /// it.
  Committer(RankContext& context, const ShuffleJob& job, const RankProgram& program,
            const RankMemory& memory, const Foreground* model)
      : context_(context), job_(job), program_(program), memory_(memory), model_(model) {}

  /// Every rank has voted for the unit while the model is at a step: puts the change that makes it
  /// live behind that step, if that needs no copies. Its buffers are free after commit() as ever.
  /// @return whether it did. @throws as commit().
  bool go_ahead(const Flight& flight);

  /// Every rank has voted for the unit. @param beside called while it waits; what that throws is
  /// thrown once the unit is live.
  /// @throws ShuffleFailure when a peer has withdrawn it, before anything is written; DeviceError.
  void commit(const Flight& flight, const std::function<void()>& beside);

  /// Tells of what went live on the model's stream, and forgets what is done there.
  /// @return how long the stream was at that. @throws DeviceError.
  [[nodiscard]] Seconds catch_up();
  /// The same until nothing is left. @throws DeviceError; ShuffleFailure when the time is up.
  [[nodiscard]] Seconds finish();

  /// After a failure: this rank has voted for the unit and does not know whether others go live.
  /// @return whether it went live here, because it is, or will be, live elsewhere.
  /// @throws DeviceError.
  bool settle(const Flight& flight);

 private:
  /// Units that went live by a change on the model's stream. To tell of it takes longer than to do
  /// it, so that is done beside the step that already uses it.
  struct Gone {
    std::size_t unit = 0;
    std::vector<const LayerCommit*> commits;
    std::unique_ptr<Pending> change;
    std::optional<SteadyClock::time_point> start = {};  ///< of the commit; none before it
    SteadyClock::time_point end = {};
    bool told = false;

    void went(SteadyClock::time_point began) {
      start = began;
      end = SteadyClock::now();
    }
  };

  /// All ranks have voted: it goes live, if none has withdrawn it. @throws ShuffleFailure.
  void agree(const StagingUnit& unit);
  [[nodiscard]] Verdict decide(const StagingUnit& unit, Verdict wanted) const;
  void go_live(const Flight& flight, const std::function<void()>& beside);
  /// Layers of the unit that are not live yet. Says that all ranks have voted for them.
  [[nodiscard]] std::vector<const LayerCommit*> voted_for(const Flight& flight);
  void commit_together(const std::vector<const LayerCommit*>& commits, const Flight& flight,
                       const std::function<void()>& beside);
  /// A model waits for the unit's copies, or nothing is left that could travel beside them.
  [[nodiscard]] CopyLane lane_of(const Flight& flight) const;
  /// Whether the unit goes live by a change of the table alone, on the model's stream.
  [[nodiscard]] bool fits_between_steps(const StagingUnit& unit) const;
  Gone& put_between_steps(const Flight& flight, const std::vector<const LayerCommit*>& commits);
  [[nodiscard]] std::vector<Stretch> stretches_of(const std::vector<const LayerCommit*>& commits,
                                                  SteadyClock::time_point start) const;
  void tell(const std::vector<const LayerCommit*>& commits, std::span<Stretch> stretches,
            SteadyClock::time_point end) const;
  void tell_all();
  void add_device_time(const std::vector<const LayerCommit*>& commits, Seconds time) const;
  /// All layers from their buffers into their slots. @return the device's time.
  [[nodiscard]] Seconds copy(const std::vector<const LayerCommit*>& commits, const Flight& flight,
                             const std::function<void()>& beside);
  [[nodiscard]] SlotTable::Flip all_of(const std::vector<const LayerCommit*>& commits,
                                       std::size_t set) const;
  /// All layers by changing the table of slots, and waits for it.
  [[nodiscard]] Seconds flip(const SlotTable::Flip& all, CopyLane lane,
                             const std::function<void()>& beside);
  [[nodiscard]] Seconds finish(Pending& work, const std::function<void()>& beside);

  RankContext& context_;
  const ShuffleJob& job_;
  const RankProgram& program_;
  const RankMemory& memory_;
  const Foreground* model_;
  std::deque<Gone> gone_;
  std::exception_ptr trouble_;  ///< of what went on beside a layer, until the unit is live
};

}  // namespace moeshift
