// SPDX-License-Identifier: Apache-2.0
// Which of a rank's faults is due: what the wrapped seams ask before they pass a call on.
#pragma once

#include <atomic>
#include <optional>
#include <vector>

#include "moeshift/execute/device_memory.hpp"
#include "moeshift/execute/drill/fault_drill.hpp"
#include "moeshift/execute/observer.hpp"

namespace moeshift {

/// Listens to the engine to know where the rank is. Called on the rank's own thread, but for
/// interrupted().
class DrillState final : public ShuffleObserver {
 public:
  /// @param drills those of this rank.
  explicit DrillState(const std::vector<FaultDrill>& drills);
  /// What the faults need: both outlive this state's last call.
  void attach(const ControlPlane& control, DeviceMemory& memory);

  void departs(const Departure& departure) override { departure_ = departure; }
  void issues(RankId rank, std::size_t unit) override;
  void votes(RankId rank, std::size_t committed, std::size_t staged) override;
  void reached(const LayerStep& step) override;

  /// Some layer's kMemory or kHash.
  [[nodiscard]] bool has(FaultDrill::Kind kind) const;
  /// This rank sends nothing any more.
  [[nodiscard]] bool muted() const { return muted_; }
  /// The user has pressed Ctrl-C, as it were.
  [[nodiscard]] bool interrupted() const { return interrupted_; }

  /// Lets happen what is due at `phase`: dies, sleeps, throws DeviceError, or is interrupted.
  void strike(Phase phase);
  /// The vote that is cast instead of that for all that is staged: a drill at the vote waits until
  /// its unit is the next to be committed, although later ones may be staged by then, so that what
  /// the others miss is the vote on that unit, whoever is how fast. Nothing when no vote is due.
  [[nodiscard]] std::optional<std::size_t> take_vote();

 private:
  struct Armed {
    FaultDrill drill;
    bool due = false;
    bool over = false;
  };

  [[nodiscard]] bool concerns(const FaultDrill& drill, std::size_t unit) const;
  void sleep(Seconds duration) const;

  std::vector<Armed> armed_;
  const ControlPlane* control_ = nullptr;
  DeviceMemory* memory_ = nullptr;
  Departure departure_;
  std::optional<std::size_t> vote_;
  bool muted_ = false;
  std::atomic<bool> interrupted_{false};
};

}  // namespace moeshift
