// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <mutex>
#include <tuple>

#include "moeshift/execute/engine/rank_program.hpp"
#include "moeshift/execute/host/host_memory.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/worlds.hpp"

using namespace moeshift;
using test::random_rearrangement;
using test::Rearrangement;

namespace {

std::vector<RankOutcome> perform(const Rearrangement& work, const ShuffleOptions& options,
                                 const std::string& drills = "") {
  const auto world = test::host_world(work.plan.ranks, drills);
  return run_world(*world, work.job(), options);
}

void require_all_new(const std::vector<RankOutcome>& outcomes, std::size_t ranks) {
  REQUIRE(outcomes.size() == ranks);
  for (const RankOutcome& outcome : outcomes) {
    INFO((outcome.failure ? outcome.failure->message() : "no failure"));
    CHECK_FALSE(outcome.failure);
    CHECK(outcome.faults.empty());
    CHECK(outcome.slots_verified > 0);
    for (const LayerOutcome& layer : outcome.layers) CHECK(layer.phase == Phase::kVerified);
  }
}

}  // namespace

TEST_CASE("a host shuffle leaves every slot with its new expert") {
  const Rearrangement work = random_rearrangement(1, 3, 12, 4, 4);
  require_all_new(perform(work, {}), 4);
}

TEST_CASE("relayed experts and packed messages arrive byte for byte") {
  const Rearrangement work = random_rearrangement(2, 5, 24, 8, 5, 2);
  ShuffleOptions options;
  options.buffers = 3;
  options.pack_below = Bytes(1 << 20);
  require_all_new(perform(work, options), 8);
}

/// What every rank says that a layer has reached.
class Epochs final : public ShuffleObserver {
 public:
  void reached(const LayerStep& step) override {
    const std::lock_guard lock(mutex_);
    highest_ = std::max(highest_, step.epoch);
    if (step.phase == Phase::kCommitted && !step.last_wave) {
      between_waves_ = std::max(between_waves_, step.epoch);
    }
  }
  [[nodiscard]] std::uint32_t highest() const { return highest_; }
  [[nodiscard]] std::uint32_t between_waves() const { return between_waves_; }

 private:
  std::mutex mutex_;
  std::uint32_t highest_ = 0;
  std::uint32_t between_waves_ = 0;
};

TEST_CASE("a layer of several waves is one epoch further, and only after the last of them") {
  Rng rng(9);
  ScheduleOptions schedule;
  schedule.staging_bytes = Bytes(3 * 4096);
  const Placement old = test::random_placement({3, 24, 2, 14}, rng);
  const Rearrangement work = test::rearrangement(old, test::random_placement({3, 24, 2, 14}, rng),
                                                 1, single_tensor_layout(Bytes(4096)), schedule);
  REQUIRE(work.plan.layers[0].waves.size() > 1);
  Epochs epochs;
  ShuffleOptions options;
  options.observers = {&epochs};
  const std::vector<RankOutcome> outcomes = perform(work, options);
  require_all_new(outcomes, 2);
  for (const RankOutcome& outcome : outcomes) {
    CHECK(outcome.layers[0].waves_committed == work.plan.layers[0].waves.size());
    CHECK(outcome.layers[0].epoch == 1);
  }
  CHECK(epochs.between_waves() == 0);
  CHECK(epochs.highest() == 1);
}

TEST_CASE("all the time of a synchronous shuffle is exposed, and not all of a layered one") {
  const Rearrangement work = random_rearrangement(1, 3, 12, 4, 4);
  for (const ShuffleMode mode : {ShuffleMode::kSync, ShuffleMode::kLayered}) {
    ShuffleOptions options;
    options.mode = mode;
    for (const RankOutcome& outcome : perform(work, options)) {
      const bool all = outcome.times.exposed == outcome.times.total;
      CHECK(all == (mode == ShuffleMode::kSync));
    }
  }
}

TEST_CASE("one buffer set is enough") {
  ShuffleOptions options;
  options.buffers = 1;
  require_all_new(perform(random_rearrangement(3, 6, 16, 4, 6), options), 4);
}

TEST_CASE("a world of one rank permutes its own slots") {
  require_all_new(perform(random_rearrangement(4, 4, 8, 1, 8), {}), 1);
}

TEST_CASE("a corrupted byte is found with its layer and rank and slot and offset") {
  const Rearrangement work = random_rearrangement(5, 3, 12, 4, 4);
  const std::vector<RankOutcome> outcomes = perform(work, {}, "corrupt:1,2,3");
  CHECK(outcomes[0].faults.empty());
  REQUIRE(outcomes[2].faults.size() == 1);
  const SlotFault& fault = outcomes[2].faults[0];
  CHECK(fault.layer == LayerId(1));
  CHECK(fault.slot == 3);
  CHECK(fault.expert == work.next(LayerId(1), SlotId(2 * 4 + 3)));
  CHECK(fault.wrong_bytes == 1);
  CHECK(fault.first_offset == 0);
}

TEST_CASE("rearrangements there and back end verified, and a plain ring is timed beside them") {
  Rearrangement there = random_rearrangement(6, 4, 16, 4, 6);
  const Rearrangement way_back = test::rearrangement(there.next, there.old, 1, there.layout);
  const ShuffleJob back = way_back.job();
  ShuffleJob job = there.job();
  job.back = &back;
  ShuffleOptions options;
  options.repeat = 5;
  options.baseline = true;
  const auto world = host_backend().open({.ranks = 4, .place = {}, .settings = {}});
  const std::vector<RankOutcome> outcomes = run_world(*world, job, options);
  require_all_new(outcomes, 4);
  for (const RankOutcome& outcome : outcomes) {
    CHECK(outcome.totals.size() == 5);
    REQUIRE(outcome.baseline);
    CHECK(outcome.baseline->bytes > Bytes(0));
    CHECK(outcome.baseline->ring > Seconds(0.0));
    CHECK(outcome.baseline->all_to_all > Seconds(0.0));
  }
}

TEST_CASE("a poll of host memory does a piece of work however small the tensors are") {
  // Who does less looks idle to the waiter, which then sleeps before it asks again.
  HostMemory memory(std::make_shared<HostArena>(Bytes(1 << 20)), 1);
  const SlotLayout layout = single_tensor_layout(Bytes(64));
  std::byte* start = memory.allocate(Bytes(64 * 1000));
  std::vector<PatternTask> tasks;
  for (std::uint32_t i = 0; i < 1000; ++i) {
    tasks.push_back(
        {start + std::ptrdiff_t{64} * i, {.seed = 1, .layer = {}, .expert = ExpertId(i)}});
  }
  REQUIRE(memory.fill(tasks, layout)->poll());
  start[64 * 7 + 3] = ~start[64 * 7 + 3];
  const auto check = memory.verify(tasks, layout);
  REQUIRE(check->poll());
  const std::vector<Mismatch> wrong = check->mismatches();
  REQUIRE(wrong.size() == 1);
  REQUIRE(wrong[0].task == 7);
  REQUIRE(wrong[0].first_offset == 3);
}

TEST_CASE("a rank takes the staging memory that its plan says, to the byte") {
  for (const bool direct : {false, true}) {
    ScheduleOptions schedule;
    schedule.direct = direct;
    Rng rng(7);
    const test::PlacementShape shape{3, 24, 6, 5};
    const Placement old = test::random_placement(shape, rng);
    const Placement next = test::random_placement(shape, rng);
    const Rearrangement work =
        test::rearrangement(old, next, 2, single_tensor_layout(Bytes(4096)), schedule);
    ShuffleOptions options;
    options.buffers = 3;
    const std::vector<RankOutcome> outcomes = perform(work, options);
    require_all_new(outcomes, 6);
    for (const RankOutcome& outcome : outcomes) {
      const Bytes live = Bytes(4096) * std::int64_t{3 * 5};
      CHECK(outcome.memory == live + staging_bytes(work.plan)[outcome.rank] * 3);
    }
  }
}

TEST_CASE("what landed in its slot at once is not sent on before it is there") {
  // Expert 0 goes from rank 0 to ranks 2 and 3 of the other node, which drop what ranks 0 and 1
  // keep.
  IdMatrix<LayerId, SlotId, ExpertId> before(1, 4);
  IdMatrix<LayerId, SlotId, ExpertId> after(1, 4);
  for (const auto& [slot, old, next] :
       {std::tuple(0, 0, 0), std::tuple(1, 1, 1), std::tuple(2, 1, 0), std::tuple(3, 1, 0)}) {
    before(LayerId(0), SlotId(slot)) = ExpertId(old);
    after(LayerId(0), SlotId(slot)) = ExpertId(next);
  }
  ScheduleOptions schedule;
  schedule.direct = true;
  const Rearrangement work =
      test::rearrangement(Placement(2, 4, std::move(before)), Placement(2, 4, std::move(after)), 2,
                          single_tensor_layout(Bytes(4096)), schedule);
  REQUIRE(work.plan.staging_slots[RankId(2)] == 0);
  REQUIRE(work.plan.staging_slots[RankId(3)] == 0);
  const RankProgram relay = make_rank_program(work.plan, RankId(2), work.layout, {});
  REQUIRE(relay.units[0].steps.size() == 2);
  CHECK(relay.units[0].steps[1].relays);
}
