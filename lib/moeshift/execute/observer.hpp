// SPDX-License-Identifier: Apache-2.0
// What the engine tells of itself as it goes: journals, timelines, progress and fault drills
// listen.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "moeshift/core/ids.hpp"
#include "moeshift/execute/control_plane.hpp"
#include "moeshift/execute/deadline.hpp"

namespace moeshift {

/// One layer of one rank reached a phase.
struct LayerStep {
  RankId rank;
  LayerId layer;
  std::size_t wave = 0;
  bool last_wave = true;
  Phase phase = Phase::kPlanned;
  std::uint32_t epoch = 0;  ///< placements this layer has committed on this rank
};

/// Work that began and, later, ended.
struct Stretch {
  enum class Kind : std::uint8_t { kStage, kVote, kCommit, kVerify };
  Kind kind = Kind::kStage;
  RankId rank;
  std::string name;       ///< "layer 3", "layers 3-7", "layer 3 wave 1"
  std::size_t index = 0;  ///< the unit, or for kCommit and kVerify the layer, counted from 0
  std::size_t set = 0;    ///< the buffer set that is being filled; kStage only
  SteadyClock::time_point start;
  SteadyClock::time_point end;  ///< once it has ended
};

/// A rank is about to rearrange.
struct Departure {
  RankId rank;
  std::vector<std::vector<LayerId>> units;  ///< what goes live together, in order
  /// Where the rank's own slot number `slot` of a layer begins.
  std::function<std::byte*(LayerId layer, std::size_t slot)> live_slot;
};

/// Told on the thread of the rank that speaks; who listens to several ranks locks for himself. What
/// a listener throws ends that rank as if the engine had thrown it.
class ShuffleObserver {
 public:
  ShuffleObserver() = default;
  ShuffleObserver(const ShuffleObserver&) = delete;
  ShuffleObserver& operator=(const ShuffleObserver&) = delete;
  virtual ~ShuffleObserver() = default;

  virtual void departs(const Departure&) {}
  virtual void reached(const LayerStep&) {}
  virtual void begins(const Stretch&) {}
  virtual void ends(const Stretch&) {}
  /// The next exchange is the first of this unit.
  virtual void issues(RankId, std::size_t /*unit*/) {}
  /// The next value gathered is `staged` in decimal digits: this rank's vote for so many units.
  virtual void votes(RankId, std::size_t /*committed*/, std::size_t /*staged*/) {}
  /// `done` of `total` units of `what` are finished.
  virtual void progressed(RankId, std::string_view /*what*/, std::size_t /*done*/,
                          std::size_t /*total*/) {}
  /// The rank is through, for good or ill.
  virtual void ended(RankId, const std::optional<Failure>&) {}
};

}  // namespace moeshift
