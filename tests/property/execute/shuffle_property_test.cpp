// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "tests/support/any_rearrangement.hpp"
#include "tests/support/catch.hpp"

using namespace moeshift;
using test::all_alike;
using test::any_options;
using test::any_rearrangement;
using test::any_schedule;
using test::VoteWatch;

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
