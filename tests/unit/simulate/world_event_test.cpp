// SPDX-License-Identifier: Apache-2.0
#include "moeshift/simulate/world_event.hpp"

#include <vector>

#include "moeshift/core/error.hpp"
#include "moeshift/plan/registry.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/simulate/small_world.hpp"

using namespace moeshift;
using namespace moeshift::test;

namespace {

Approx exactly(double value) {
  return Approx(value).epsilon(1e-9);
}

LaneSettings with_events(std::vector<WorldEvent> events) {
  LaneSettings settings;
  settings.name = "static";
  settings.events = std::move(events);
  return settings;
}

LaneResult serve(Lane& lane, const LoadMatrix& load, std::size_t steps) {
  for (std::size_t i = 0; i < steps; ++i) lane.serve(load);
  return lane.result();
}

bool holds_nothing(const Placement& placement, RankId rank) {
  for (const LayerId layer : all_ids<LayerId>(placement.layers())) {
    for (const ExpertId expert : placement.rank_slots(layer, rank)) {
      if (!expert.is_none()) return false;
    }
  }
  return true;
}

}  // namespace

TEST_CASE("the tokens of a failed rank start on and go to the survivors") {
  const Deployment deployment = small_deployment(2, 1);
  // Both ranks hold both experts: rank 0 can serve alone, and nothing has to travel then.
  Lane lane(with_events({parse_failure("1@10")}), deployment, placement_of(1, 2, 2, {0, 1, 0, 1}));
  const LoadMatrix load = load_of(1, {300, 100});
  const double before = serve(lane, load, 10).step_times.mean().count();
  // Half of 400 pairs on each rank; half of those from the other one.
  REQUIRE(before == exactly(1e-3 + 1e-4 + 200e-6 + 2e-5 + 100 * 300 / 1e9 + 1e-5));
  const LaneResult result = serve(lane, load, 5);
  REQUIRE(result.step_times.largest().count() == exactly(1e-3 + 1e-4 + 400e-6 + 400.0 / 2 * 1e-7));
  REQUIRE(result.tokens == exactly(15 * 200));
  REQUIRE(result.outage == Seconds());
  REQUIRE(result.events.at(0).ranks_serving == 1);
  REQUIRE(holds_nothing(lane.placement(), RankId(1)));
}

TEST_CASE("losing the only holder of experts is an error that names them") {
  const Deployment deployment = small_deployment(2, 1);
  Lane lane(with_events({parse_failure("1@3")}), deployment,
            placement_of(2, 3, 2, {0, 1, 1, 0, 2, 2}));
  const LoadMatrix load = load_of(2, {10, 10, 10});
  (void)serve(lane, load, 3);
  try {
    lane.serve(load);
    FAIL("served without expert 2");
  } catch (const InputError& error) {
    const std::string text = error.what();
    REQUIRE(text.find("step 3: rank 1 alone held layer 0: expert 2; layer 1: expert 2") !=
            std::string::npos);
  }
}

TEST_CASE("lost experts are read from storage while the world waits") {
  const Deployment deployment = small_deployment(2, 1);
  LaneSettings settings = with_events({parse_failure("1@3")});
  settings.reload = BytesPerSecond(1e6);
  Lane lane(settings, deployment, placement_of(2, 3, 2, {0, 1, 0, 0, 1, 2}));
  const LaneResult result = serve(lane, load_of(2, {10, 10, 10}), 6);
  // One expert of 1 MB per layer, both on the only rank that is left.
  REQUIRE(result.events.at(0).experts_lost == 2);
  REQUIRE(result.outage.count() == exactly(2.0));
  REQUIRE(result.step_times.largest() > Seconds(2));
  REQUIRE(lane.placement().uncovered(LayerId(0)).empty());
  REQUIRE(result.bytes == BytesByLink{});
}

TEST_CASE("too few slots for all experts on the survivors is infeasible") {
  const Deployment deployment = small_deployment(2, 1);
  LaneSettings settings = with_events({parse_failure("0@0")});
  settings.reload = BytesPerSecond(1e9);
  Lane lane(settings, deployment, placement_of(1, 4, 2, {0, 1, 2, 3}));
  REQUIRE_THROWS_AS(lane.serve(load_of(1, {1, 1, 1, 1})), InfeasibleError);
}

TEST_CASE("after a failure the policy plans anew at once and on the survivors alone") {
  const Deployment deployment = small_deployment(4, 2);
  LaneSettings settings = with_events({parse_failure("2@7")});
  settings.planner = make_planner("incremental");
  settings.forecaster = "last";
  settings.rule.interval = 1000;
  parse_mode("async", settings.mode);
  settings.reload = BytesPerSecond(1e9);
  std::vector<std::uint32_t> slots;
  for (std::uint32_t s = 0; s < 16; ++s) slots.push_back(s % 8);
  Lane lane(settings, deployment, placement_of(3, 8, 4, slots));
  const LaneResult result = serve(lane, load_of(3, {900, 10, 10, 10, 10, 10, 10, 500}), 40);
  REQUIRE(result.decisions.rearranged == 1);
  REQUIRE(result.rearrangements.at(0).step == 7);
  REQUIRE(result.rearrangements.at(0).finished_step.has_value());
  REQUIRE(holds_nothing(lane.placement(), RankId(2)));
  for (std::size_t layer = 0; layer < 3; ++layer) {
    REQUIRE(lane.placement().uncovered(LayerId(layer)).empty());
  }
}

TEST_CASE("a rearrangement under way ends where it is when a rank fails") {
  const Deployment deployment = small_deployment(4, 2);
  LaneSettings settings = with_events({parse_failure("3@12")});
  settings.planner = make_planner("deepseek");
  settings.forecaster = "last";
  settings.rule.interval = 10;
  parse_mode("async:1", settings.mode);
  settings.mode.buffers = 1;
  settings.reload = BytesPerSecond(1e9);
  std::vector<std::uint32_t> slots;
  for (std::uint32_t s = 0; s < 16; ++s) slots.push_back(s % 8);
  Lane lane(settings, deployment, placement_of(9, 8, 4, slots));
  const LaneResult result = serve(lane, load_of(9, {900, 10, 10, 10, 10, 10, 10, 500}), 60);
  REQUIRE(result.rearrangements.size() >= 2);
  REQUIRE(*result.rearrangements.at(0).finished_step == 12);
  REQUIRE(result.rearrangements.at(1).step == 12);
  REQUIRE(holds_nothing(lane.placement(), RankId(3)));
}

TEST_CASE("a resize stops the world for what must move and then serves on the new ranks") {
  const Deployment deployment = small_deployment(4, 2);
  // Two ranks at first; the other two hold nothing.
  IdMatrix<LayerId, SlotId, ExpertId> slots(2, 16, ExpertId::none());
  for (const LayerId layer : slots.row_ids()) {
    for (std::uint32_t s = 0; s < 8; ++s) slots(layer, SlotId(s)) = ExpertId(s);
  }
  Lane lane(with_events({parse_resize("4@5"), parse_resize("2@10")}), deployment,
            Placement(8, 4, std::move(slots)));
  const LoadMatrix load = load_of(2, {100, 100, 100, 100, 100, 100, 100, 100});
  const LaneResult grown = serve(lane, load, 8);
  REQUIRE(grown.events.at(0).ranks_serving == 4);
  REQUIRE(grown.events.at(0).stall > Seconds());
  REQUIRE(grown.rearrangements.at(0).cause == RearrangementRecord::Cause::kResize);
  REQUIRE(grown.rearrangements.at(0).step == 5);
  REQUIRE(grown.rearrangements.at(0).exposed == grown.events.at(0).stall);
  REQUIRE_FALSE(holds_nothing(lane.placement(), RankId(3)));
  const LaneResult shrunk = serve(lane, load, 7);
  REQUIRE(shrunk.events.at(1).ranks_serving == 2);
  REQUIRE(holds_nothing(lane.placement(), RankId(2)));
  REQUIRE(lane.placement().uncovered(LayerId(1)).empty());
  REQUIRE(shrunk.tokens == exactly(15 * 400));
  REQUIRE(shrunk.exposed == shrunk.events.at(0).stall + shrunk.events.at(1).stall);
}

TEST_CASE("events are read as they are written and must fit the deployment") {
  REQUIRE(parse_failure("3@1000").rank == RankId(3));
  REQUIRE(parse_failure("3@1000").step == 1000);
  REQUIRE(parse_resize("16@0").ranks == 16);
  for (const char* spec : {"", "3", "3@", "@5", "-1@5", "a@5", "3@5x", "1.5@5"}) {
    REQUIRE_THROWS_AS(parse_failure(spec), InputError);
  }
  REQUIRE_THROWS_AS(parse_resize("0@5"), InputError);
  const Deployment deployment = small_deployment(2, 1);
  const Placement placement = placement_of(1, 2, 2, {0, 1});
  REQUIRE_THROWS_AS(Lane(with_events({parse_failure("2@5")}), deployment, placement), InputError);
  REQUIRE_THROWS_AS(Lane(with_events({parse_resize("3@5")}), deployment, placement), InputError);
}
