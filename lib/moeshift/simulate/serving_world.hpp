// SPDX-License-Identifier: Apache-2.0
// The world of a lane: which ranks serve, and what happens to them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "moeshift/model/placement.hpp"
#include "moeshift/simulate/lane_settings.hpp"

namespace moeshift {

/// Ranks serve, have not joined yet, have left, or have failed. At least one serves.
class ServingWorld {
 public:
  /// Ranks that hold nothing in `initial` have not joined yet. Both references must outlive it.
  /// @throws InputError when an event names a rank that the deployment does not have.
  ServingWorld(const LaneSettings& settings, const Deployment& deployment,
               const Placement& initial);

  /// The next event that takes effect at the boundary before `step`, each once; nullptr: none.
  [[nodiscard]] const WorldEvent* next_event(std::uint64_t step);

  /// What is left when a rank takes its replicas along.
  struct Survivors {
    Placement placement;   ///< lost experts are back, read from storage
    std::size_t lost = 0;  ///< (layer, expert) pairs that only the failed rank held
    Seconds reload;        ///< reading those, all ranks at once
  };
  [[nodiscard]] bool has_failed(RankId rank) const;
  /// @throws InputError when experts are lost and the settings have no rate to read them at, or no
  ///         rank is left; InfeasibleError when the ranks that are left have too few slots.
  [[nodiscard]] Survivors fail(const WorldEvent& event, const Placement& placement);
  /// Ranks 0 .. ranks-1 serve from now on, without those that have failed.
  void resize(std::size_t ranks);

  [[nodiscard]] const std::vector<bool>& serving() const { return serving_; }  ///< [ranks]
  [[nodiscard]] const std::vector<RankId>& inactive() const { return inactive_; }
  /// Of those, the ones whose memory is gone.
  [[nodiscard]] const std::vector<RankId>& failed() const { return failed_; }
  /// Prices of serving among the ranks that do.
  [[nodiscard]] const ServingModel& model() const { return model_; }

 private:
  void set_serving(std::vector<bool> serving);

  const LaneSettings& settings_;
  const Deployment& deployment_;
  ServingModel model_;
  std::vector<bool> serving_;
  std::vector<RankId> inactive_;
  std::vector<RankId> failed_;
  std::size_t next_event_ = 0;
};

}  // namespace moeshift
