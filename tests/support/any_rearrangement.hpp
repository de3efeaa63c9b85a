// SPDX-License-Identifier: Apache-2.0
// Rearrangements of any shape performed in any way, for the properties that hold of all of them.
#pragma once

#include <map>
#include <mutex>
#include <utility>

#include "tests/support/worlds.hpp"

namespace moeshift::test {

/// Experts that are all alike, or of three sizes.
inline ExpertLayouts any_layouts(std::size_t layers, std::size_t experts, Rng& rng) {
  const auto any = [&] { return single_tensor_layout(Bytes(16 + rng.below(3000))); };
  if (rng.below(2) == 0) return any();
  IdMatrix<LayerId, ExpertId, std::uint32_t> which(layers, experts);
  for (std::uint32_t& layout : which.items()) layout = rng.below(3);
  return {{any(), any(), any()}, std::move(which)};
}

/// Of any shape: worlds that grow or shrink, empty slots, several nodes.
inline Rearrangement any_rearrangement(Rng& rng, const ScheduleOptions& schedule = {}) {
  const std::size_t experts = 4 + rng.below(20);
  const auto shape_of_world = [&](std::size_t ranks) {
    const std::size_t least = (experts + ranks - 1) / ranks;
    return PlacementShape{1, experts, ranks, least + rng.below(3)};
  };
  PlacementShape before = shape_of_world(1 + rng.below(6));
  PlacementShape after = shape_of_world(rng.below(2) == 0 ? before.ranks : 1 + rng.below(6));
  before.layers = after.layers = 1 + rng.below(5);
  const double empty = rng.below(3) == 0 ? 0.3 : 0.0;
  Placement old = random_placement(before, rng, empty);
  Placement next = rng.below(4) == 0 && before.ranks == after.ranks
                       ? with_swaps(old, rng.below(4), rng)
                       : random_placement(after, rng, empty);
  const std::size_t nodes =
      1 + rng.below(static_cast<std::uint32_t>(std::max(old.ranks(), next.ranks())));
  return rearrangement(std::move(old), std::move(next), nodes,
                       any_layouts(before.layers, before.experts, rng), schedule);
}

/// Buffers of any size, layers together or alone, in place or not.
inline ScheduleOptions any_schedule(Rng& rng) {
  ScheduleOptions options;
  options.direct = rng.below(2) == 0;
  if (rng.below(2) == 0) options.batch_bytes = Bytes(rng.below(20'000));
  if (rng.below(3) == 0) options.staging_bytes = Bytes(6000 + rng.below(6000));
  if (rng.below(3) == 0) options.chunk_bytes = Bytes(1 + rng.below(8000));
  if (rng.below(4) == 0) options.join.below = Bytes(rng.below(40'000));
  return options;
}

inline bool all_alike(const ExpertSizes& sizes, std::size_t layers) {
  for (const LayerId layer : all_ids<LayerId>(layers)) {
    if (sizes.largest(layer) != sizes.largest()) return false;
  }
  return true;
}

/// @param alike whether all layers have slots of one size, which can change roles.
inline ShuffleOptions any_options(Rng& rng, bool alike = false) {
  ShuffleOptions options;
  if (alike && rng.below(2) == 0) options.commit = CommitKind::kFlip;
  options.buffers = 1 + rng.below(4);
  options.mode = static_cast<ShuffleMode>(rng.below(3));
  options.layers_per_step = 1 + rng.below(3);
  options.pack_below = Bytes(rng.below(2) == 0 ? 0 : 1 << 20);
  options.lockstep = rng.below(4) == 0;
  options.seed = rng.next();
  return options;
}

/// Nothing may go live before every rank has it: listens to all of them.
class VoteWatch final : public ShuffleObserver {
 public:
  explicit VoteWatch(std::size_t ranks) : ranks_(ranks) {}

  void reached(const LayerStep& step) override {
    const std::lock_guard lock(mutex_);
    std::size_t& staged = staged_[{step.layer, step.wave}];
    if (step.phase == Phase::kStaged) ++staged;
    const bool live = step.phase == Phase::kVoted || step.phase == Phase::kCommitted;
    if (live && staged < ranks_) ++early_;
    if (step.phase == Phase::kCommitted) ++committed_;
  }
  [[nodiscard]] std::size_t early() const { return early_; }
  [[nodiscard]] std::size_t committed() const { return committed_; }

 private:
  std::size_t ranks_;
  std::mutex mutex_;
  std::map<std::pair<LayerId, std::size_t>, std::size_t> staged_;
  std::size_t early_ = 0;
  std::size_t committed_ = 0;
};

}  // namespace moeshift::test
