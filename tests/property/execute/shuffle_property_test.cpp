// SPDX-License-Identifier: Apache-2.0
#include <map>
#include <mutex>

#include "tests/support/catch.hpp"
#include "tests/support/worlds.hpp"

using namespace moeshift;

namespace {

/// A rearrangement of any shape: worlds that grow or shrink, empty slots, several nodes.
/// Experts that are all alike, or of three sizes.
ExpertLayouts any_layouts(std::size_t layers, std::size_t experts, Rng& rng) {
  const auto any = [&] { return single_tensor_layout(Bytes(16 + rng.below(3000))); };
  if (rng.below(2) == 0) return any();
  IdMatrix<LayerId, ExpertId, std::uint32_t> which(layers, experts);
  for (std::uint32_t& layout : which.items()) layout = rng.below(3);
  return {{any(), any(), any()}, std::move(which)};
}

test::Rearrangement any_rearrangement(Rng& rng, const ScheduleOptions& schedule = {}) {
  const std::size_t experts = 4 + rng.below(20);
  const auto shape_of_world = [&](std::size_t ranks) {
    const std::size_t least = (experts + ranks - 1) / ranks;
    return test::PlacementShape{1, experts, ranks, least + rng.below(3)};
  };
  test::PlacementShape before = shape_of_world(1 + rng.below(6));
  test::PlacementShape after = shape_of_world(rng.below(2) == 0 ? before.ranks : 1 + rng.below(6));
  before.layers = after.layers = 1 + rng.below(5);
  const double empty = rng.below(3) == 0 ? 0.3 : 0.0;
  Placement old = test::random_placement(before, rng, empty);
  Placement next = rng.below(4) == 0 && before.ranks == after.ranks
                       ? test::with_swaps(old, rng.below(4), rng)
                       : test::random_placement(after, rng, empty);
  const std::size_t nodes =
      1 + rng.below(static_cast<std::uint32_t>(std::max(old.ranks(), next.ranks())));
  return test::rearrangement(std::move(old), std::move(next), nodes,
                             any_layouts(before.layers, before.experts, rng), schedule);
}

/// Buffers of any size, layers together or alone, in place or not.
ScheduleOptions any_schedule(Rng& rng) {
  ScheduleOptions options;
  options.direct = rng.below(2) == 0;
  if (rng.below(2) == 0) options.batch_bytes = Bytes(rng.below(20'000));
  if (rng.below(3) == 0) options.staging_bytes = Bytes(6000 + rng.below(6000));
  if (rng.below(3) == 0) options.chunk_bytes = Bytes(1 + rng.below(8000));
  if (rng.below(4) == 0) options.join_below = Bytes(rng.below(40'000));
  return options;
}

bool all_alike(const ExpertSizes& sizes, std::size_t layers) {
  for (const LayerId layer : all_ids<LayerId>(layers)) {
    if (sizes.largest(layer) != sizes.largest()) return false;
  }
  return true;
}

/// @param alike whether all layers have slots of one size, which can change roles.
ShuffleOptions any_options(Rng& rng, bool alike = false) {
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

}  // namespace

TEST_CASE("any rearrangement by any options leaves every slot byte for byte as planned") {
  const auto seed = static_cast<std::uint64_t>(GENERATE(range(0, 150)));
  INFO("seed " << seed);
  Rng rng = Rng::stream(20805, seed);
  const ScheduleOptions schedule = any_schedule(rng);
  const test::Rearrangement work = any_rearrangement(rng, schedule);
  ShuffleOptions options = any_options(rng, all_alike(work.plan.sizes, work.plan.layers.size()));
  // There and back again: what one rearrangement leaves behind is what the next one begins with.
  const test::Rearrangement way_back =
      test::rearrangement(work.next, work.old, 1, work.layout, schedule);
  const ShuffleJob back = way_back.job();
  ShuffleJob job = work.job();
  const bool same_world =
      work.old.ranks() == work.next.ranks() && work.old.slots() == work.next.slots();
  if (same_world && rng.below(2) == 0) {
    job.back = &back;
    options.repeat = 3;
  }
  VoteWatch watch(work.plan.ranks);
  options.observers = {&watch};
  const auto world = test::host_world(work.plan.ranks);
  const std::vector<RankOutcome> outcomes = run_world(*world, job, options);
  REQUIRE(outcomes.size() == work.plan.ranks);
  REQUIRE(watch.early() == 0);
  for (const RankOutcome& outcome : outcomes) {
    INFO((outcome.failure ? outcome.failure->message() : ""));
    REQUIRE_FALSE(outcome.failure);
    REQUIRE(outcome.faults.empty());
    for (const LayerOutcome& layer : outcome.layers) {
      REQUIRE(layer.phase == Phase::kVerified);
      // One placement further, in however many waves.
      REQUIRE(layer.epoch == (layer.waves_committed > 0 ? 1U : 0U));
    }
  }
}

TEST_CASE("after any failure every layer of every rank is wholly old or wholly new") {
  const auto seed = static_cast<std::uint64_t>(GENERATE(range(0, 60)));
  INFO("seed " << seed);
  Rng rng = Rng::stream(18343, seed);
  const test::Rearrangement work = any_rearrangement(rng);
  ShuffleOptions options = any_options(rng, all_alike(work.plan.sizes, work.plan.layers.size()));
  options.timeout = Seconds(0.3);
  FaultDrill drill;
  constexpr std::array kKinds = {FaultDrill::Kind::kLose, FaultDrill::Kind::kError,
                                 FaultDrill::Kind::kInterrupt, FaultDrill::Kind::kSleep};
  drill.kind = kKinds[rng.below(4)];
  drill.rank = RankId(rng.below(static_cast<std::uint32_t>(work.plan.ranks)));
  drill.layer = LayerId(rng.below(static_cast<std::uint32_t>(work.plan.layers.size())));
  drill.phase = rng.below(2) == 0 ? Phase::kStaging : Phase::kStaged;
  drill.duration = Seconds(1.0);  // longer than the timeout; a lone rank has to sit it out
  VoteWatch watch(work.plan.ranks);
  options.observers = {&watch};
  DrilledWorld drilled(test::host_world(work.plan.ranks), {drill});
  const Deadline hang = Deadline::in(Seconds(30.0));
  std::uint64_t slots = 0;
  for (const RankOutcome& outcome : run_world(drilled, work.job(), options)) {
    CHECK(outcome.faults.empty());
    slots += outcome.slots_verified;
    // On a busy machine the short timeout may be over before anything is in place.
    if (outcome.failure && outcome.failure->phase == Phase::kSetup) ++slots;
  }
  CHECK(slots > 0);
  CHECK(watch.early() == 0);
  CHECK_FALSE(hang.expired());
}
