// SPDX-License-Identifier: Apache-2.0
#include "moeshift/simulate/rearrangement_run.hpp"

#include "moeshift/core/error.hpp"
#include "moeshift/schedule/scheduler.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/simulate/small_world.hpp"

using namespace moeshift;
using namespace moeshift::test;

namespace {

Approx exactly(double value) {
  return Approx(value).epsilon(1e-9);
}

/// `layers` layers of 1 s of staging, 0.25 s of vote, 0.5 s of commit each.
RearrangementWork round_work(std::size_t layers) {
  RearrangementWork work;
  for (std::size_t i = 0; i < layers; ++i) {
    LayerWork layer;
    layer.layer = LayerId(i);
    layer.batch = i;
    layer.stage = Seconds(1);
    layer.vote = Seconds(0.25);
    layer.commit = Seconds(0.5);
    layer.bytes[1] = Bytes(10);
    work.layers.push_back(layer);
  }
  return work;
}

ModeOptions mode_of(const char* spec, double plan = 0, std::size_t buffers = 1) {
  ModeOptions mode;
  parse_mode(spec, mode);
  mode.plan = Seconds(plan);
  mode.buffers = buffers;
  return mode;
}

/// Boundaries with steps of `step` seconds between them until the run is idle.
struct Trip {
  std::size_t boundaries = 0;
  Seconds stall;
  Seconds overlapped;
  std::vector<LayerId> committed;
};
Trip run_to_end(RearrangementRun& run, Seconds step) {
  Trip trip;
  while (!run.idle()) {
    const RearrangementRun::Boundary boundary = run.at_boundary();
    ++trip.boundaries;
    trip.stall += boundary.stall;
    trip.committed.insert(trip.committed.end(), boundary.committed.begin(),
                          boundary.committed.end());
    trip.overlapped += run.advance(step);
  }
  return trip;
}

}  // namespace

TEST_CASE("a synchronous rearrangement takes what the cost model says") {
  const bool shared_memory = GENERATE(false, true);
  Cluster cluster = small_cluster();
  // Copies and messages of one node get in each other's way: nothing overlaps.
  if (shared_memory) cluster.node_copy = BytesPerSecond(2e9);
  const Topology topology(4, 2);
  const Placement old = placement_of(3, 8, 4, {0, 1, 2, 3, 4, 5, 6, 7});
  const Placement next = placement_of(3, 8, 4, {7, 1, 0, 3, 2, 4, 5, 6});
  const TransferPlan plan = make_transfer_plan(old, next, topology, Bytes(1'000'000));
  for (const std::size_t buffers : {1U, 2U, 4U}) {
    const TransferCost cost = price(plan, topology, cluster, {.buffers = buffers});
    RearrangementRun run(mode_of("sync", 0.125, buffers));
    run.begin(work_of(plan, cost));
    const RearrangementRun::Boundary boundary = run.at_boundary();
    REQUIRE(boundary.stall.count() == exactly(0.125 + cost.total.count()));
    REQUIRE(boundary.committed.size() == 3);
    REQUIRE(run.idle());
  }
}

TEST_CASE("layered mode stops at every boundary for its chunk and thinks once") {
  RearrangementRun run(mode_of("layered:2", 3));
  RearrangementWork work = round_work(5);
  work.connection = Seconds(7);
  run.begin(work);
  const Trip trip = run_to_end(run, Seconds(100));
  REQUIRE(trip.boundaries == 3);
  REQUIRE(trip.stall.count() == exactly(3 + 7 + 5 * 1.75));
  REQUIRE(trip.overlapped.count() == 0);
  REQUIRE(trip.committed.size() == 5);
}

TEST_CASE("one commit per step makes 58 layers take at least 58 steps") {
  RearrangementRun run(mode_of("async:1", 0, 8));
  run.begin(round_work(58));
  const Trip trip = run_to_end(run, Seconds(1e6));  // staging is never what it waits for
  REQUIRE(trip.boundaries == 59);                   // the first boundary only starts it
  REQUIRE(trip.stall.count() == exactly(58 * (0.25 + 0.5)));
  REQUIRE(trip.overlapped.count() == exactly(58));
}

TEST_CASE("as many as are ready commit at one boundary") {
  RearrangementRun run(mode_of("async", 0, 8));
  run.begin(round_work(8));
  const Trip trip = run_to_end(run, Seconds(1e6));
  REQUIRE(trip.boundaries == 2);
  REQUIRE(trip.stall.count() == exactly(0.25 + 8 * 0.5));
}

TEST_CASE("one buffer stages one layer per step however long the step") {
  RearrangementRun run(mode_of("async", 0, 1));
  run.begin(round_work(4));
  REQUIRE(run_to_end(run, Seconds(1e6)).boundaries == 5);
}

TEST_CASE("short steps wait for staging and pay a vote each") {
  RearrangementRun run(mode_of("async", 2, 2));
  run.begin(round_work(3));
  // Steps of 0.5 s: 4 of planning, then 6 of staging; a layer is ready after every second one.
  const Trip trip = run_to_end(run, Seconds(0.5));
  REQUIRE(trip.boundaries == 11);
  REQUIRE(trip.overlapped.count() == exactly(2 + 3));
  REQUIRE(trip.stall.count() == exactly((11 - 4) * 0.25 + 3 * 0.5));
}

TEST_CASE("layers commit once each and in order") {
  for (const char* spec : {"sync", "layered:3", "async", "async:1", "async:2"}) {
    INFO(spec);
    RearrangementRun run(mode_of(spec, 0.3, 3));
    run.begin(round_work(10));
    const Trip trip = run_to_end(run, Seconds(0.7));
    REQUIRE(trip.committed.size() == 10);
    for (std::size_t i = 0; i < 10; ++i) REQUIRE(trip.committed[i] == LayerId(i));
  }
}

TEST_CASE("the background tells what a long step would see") {
  RearrangementRun run(mode_of("async", 2, 2));
  run.begin(round_work(3));
  (void)run.at_boundary();
  REQUIRE(run.background().quiet.count() == exactly(2));
  REQUIRE(run.background().busy.count() == exactly(2));  // two buffers
  REQUIRE(run.background().bytes[1] == Bytes(20));
  (void)run.advance(Seconds(2.25));
  REQUIRE(run.background().quiet.count() == 0);
  REQUIRE(run.background().busy.count() == exactly(1.75));
}

TEST_CASE("a step beside staging follows its closed form") {
  const Seconds alone(1);
  const Seconds slow(2);
  REQUIRE(step_beside(alone, slow, Seconds(), Seconds()).count() == exactly(1));
  REQUIRE(step_beside(alone, slow, Seconds(), Seconds(10)).count() == exactly(2));
  // 1 s at half speed, the other half alone.
  REQUIRE(step_beside(alone, slow, Seconds(), Seconds(1)).count() == exactly(1.5));
  REQUIRE(step_beside(alone, slow, Seconds(0.5), Seconds(10)).count() == exactly(1.5));
  REQUIRE(step_beside(alone, slow, Seconds(0.5), Seconds(0.5)).count() == exactly(1.25));
  REQUIRE(step_beside(alone, slow, Seconds(5), Seconds(10)).count() == exactly(1));
}

TEST_CASE("a trickle takes as many steps as its bytes say and one vote at the end") {
  RearrangementWork work;
  for (std::size_t i = 0; i < 2; ++i) {
    LayerWork layer;
    layer.layer = LayerId(i);
    layer.stage = Seconds(0.004);
    layer.vote = Seconds(0.001);
    layer.commit = Seconds(0.002);
    layer.bytes[1] = Bytes(50);
    work.layers.push_back(layer);
  }
  ModeOptions mode;
  parse_mode("trickle:30", mode);
  mode.plan = Seconds(100);  // trickle plans for itself
  RearrangementRun run(mode);
  run.begin(work);
  for (const double busy : {0.3, 0.3, 0.3, 0.1}) {  // 30, 30, 30 and 10 of 100 bytes
    REQUIRE(run.at_boundary().stall == Seconds());
    REQUIRE(run.background().busy.count() == Approx(0.008 * busy));
    REQUIRE(run.advance(Seconds(1)).count() == Approx(0.008 * busy));
  }
  const RearrangementRun::Boundary boundary = run.at_boundary();
  REQUIRE(boundary.stall.count() == Approx(0.001 + 2 * 0.002));
  REQUIRE(boundary.committed == std::vector{LayerId(0), LayerId(1)});
  REQUIRE(run.idle());
}

TEST_CASE("modes are read as they are written") {
  for (const char* spec : {"sync", "layered:4", "async", "async:1"}) {
    REQUIRE(to_string(mode_of(spec)) == spec);
  }
  REQUIRE(mode_of("trickle:44MB").trickle_bytes == Bytes(44'000'000));
  REQUIRE(mode_of("trickle:2MiB").trickle_bytes == Bytes(2 << 20));
  for (const char* spec :
       {"", "sink", "sync:1", "layered", "layered:0", "layered:x", "async:", "async:-1", "trickle",
        "trickle:0", "trickle:1XB", "trickle:99999999TB"}) {
    INFO(spec);
    ModeOptions mode;
    REQUIRE_THROWS_AS(parse_mode(spec, mode), InputError);
  }
}
