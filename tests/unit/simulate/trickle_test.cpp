// SPDX-License-Identifier: Apache-2.0
#include "moeshift/simulate/trickle.hpp"

#include <vector>

#include "moeshift/plan/registry.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/simulate/small_world.hpp"

using namespace moeshift;
using namespace moeshift::test;

namespace {

TrickleMove move_of(std::size_t layer, double gain, std::int64_t bytes) {
  TrickleMove move;
  move.work.layer = LayerId(layer);
  move.gain = Seconds(gain);
  move.work.bytes[1] = Bytes(bytes);
  return move;
}

LaneSettings trickling(std::int64_t bytes) {
  PolicyOptions policy;
  policy.expert_bytes = Bytes(1'000'000);
  policy.budget = Bytes(std::max<std::int64_t>(bytes, 2'000'000));
  LaneSettings settings;
  settings.planner = make_planner("incremental", policy);
  settings.forecaster = "last";
  settings.rule.interval = 20;
  settings.rule.first = 5;
  settings.rule.horizon = 100'000;
  settings.rule.min_gain_over_cost = 1;
  settings.mode.kind = ModeKind::kTrickle;
  settings.mode.trickle_bytes = Bytes(bytes);
  return settings;
}

}  // namespace

TEST_CASE("moves go by gain per byte and together stay within the bytes of a step") {
  TrickleQueue queue(4, 100, 0);
  queue.offer(LayerId(0), 0, move_of(0, 1.0, 10));
  queue.offer(LayerId(1), 0, move_of(1, 3.0, 10));
  queue.offer(LayerId(2), 0, move_of(2, 2.0, 40));
  queue.offer(LayerId(3), 0, std::nullopt);
  std::vector<TrickleMove> taken = queue.take(Bytes(25));
  REQUIRE(taken.size() == 2);
  REQUIRE(taken[0].work.layer == LayerId(1));
  REQUIRE(taken[1].work.layer == LayerId(0));
  taken = queue.take(Bytes(25));  // larger than the budget, but nothing else is left
  REQUIRE(taken.size() == 1);
  REQUIRE(taken[0].work.layer == LayerId(2));
  REQUIRE(queue.take(Bytes(25)).empty());
}

TEST_CASE("a layer is looked at again when it has changed and else once in an interval") {
  TrickleQueue queue(4, 100, 10);
  REQUIRE(queue.due(9).empty());
  REQUIRE(queue.due(10).size() == 4);
  for (std::size_t layer = 0; layer < 4; ++layer) {
    queue.offer(LayerId(layer), 10, layer == 2 ? std::optional(move_of(2, 1.0, 1)) : std::nullopt);
  }
  REQUIRE(queue.due(11).empty());
  REQUIRE(queue.take(Bytes(1)).size() == 1);
  REQUIRE(queue.due(11) == std::vector{LayerId(2)});
  queue.offer(LayerId(2), 11, std::nullopt);
  // Each layer has its own place in the interval, so that a step looks at one.
  std::vector<std::size_t> looks(4);
  for (std::uint64_t step = 12; step < 412; ++step) {
    const std::vector<LayerId> due = queue.due(step);
    REQUIRE(due.size() <= 1);
    for (const LayerId layer : due) {
      ++looks[layer.index()];
      queue.offer(layer, step, std::nullopt);
    }
  }
  REQUIRE(looks == std::vector<std::size_t>{4, 4, 4, 4});
}

TEST_CASE("what trickles in serves faster and never carries more than its bytes per step") {
  const Deployment deployment = small_deployment(4, 2);
  std::vector<std::uint32_t> slots;
  for (std::uint32_t s = 0; s < 12; ++s) slots.push_back(s % 8);
  const Placement initial = placement_of(6, 8, 4, slots);
  const LoadMatrix load = load_of(6, {900, 10, 10, 700, 10, 10, 10, 500});
  Lane still({.name = "static"}, deployment, initial);
  for (const std::int64_t budget : {250'000, 1'000'000, 3'000'000}) {
    Lane lane(trickling(budget), deployment, initial);
    std::int64_t before = 0;
    for (int step = 0; step < 200; ++step) {
      lane.serve(load);
      if (budget == 250'000) still.serve(load);
      // Bytes are counted when a move begins; a move of an exchange is two experts.
      const BytesByLink bytes = lane.result().bytes;
      const std::int64_t moved = (bytes[1] + bytes[2]).count();
      REQUIRE(moved - before <= std::max<std::int64_t>(budget, 2'000'000));
      before = moved;
    }
    const LaneResult result = lane.result();
    REQUIRE(before > 0);
    REQUIRE(before <= budget * static_cast<std::int64_t>(result.steps));
    REQUIRE(result.rearrangements.size() == 1);  // no events to tell apart
    REQUIRE(result.balancedness > still.result().balancedness);
    REQUIRE(result.step_times.sum() < still.result().step_times.sum());
    REQUIRE(result.tokens == still.result().tokens);
  }
}

TEST_CASE("a trickle ends when nothing is left that is worth its bytes") {
  const Deployment deployment = small_deployment(4, 2);
  Lane lane(trickling(1'000'000), deployment, placement_of(2, 8, 4, {0, 1, 2, 3, 4, 5, 6, 7}));
  const LoadMatrix load = load_of(2, {900, 800, 10, 20, 30, 700, 50, 60});
  for (int step = 0; step < 100; ++step) lane.serve(load);
  const BytesByLink settled = lane.result().bytes;
  const Placement placement = lane.placement();
  for (int step = 0; step < 100; ++step) lane.serve(load);
  REQUIRE(lane.result().bytes == settled);
  REQUIRE(lane.placement() == placement);
}
