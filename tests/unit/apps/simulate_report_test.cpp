// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/serving/simulate_report.hpp"

#include <nlohmann/json.hpp>

#include "tests/support/catch.hpp"

using namespace moeshift;
using namespace moeshift::cli;

namespace {

/// A hundred steps of 10 tokens, the last one `slowest` times as long as the others.
LaneResult lane_of(const char* name, double seconds, double slowest = 1) {
  LaneResult lane;
  lane.name = name;
  for (int step = 0; step < 100; ++step) {
    lane.step_times.add(Seconds(step == 99 ? seconds * slowest : seconds));
    lane.tokens += 10;
    ++lane.steps;
  }
  return lane;
}

}  // namespace

TEST_CASE(
    "Ratios are the lane's over its reference's: throughput above 1 and times below are good") {
  const auto json = ratios(lane_of("robust", 1), lane_of("static", 2));
  CHECK(json["throughput_ratio"].get<double>() == Approx(2).epsilon(0.01));
  CHECK(json["mean_ratio"].get<double>() == Approx(0.5).epsilon(0.01));
  CHECK(json["p50_ratio"].get<double>() == Approx(0.5).epsilon(0.01));
  const auto slow = ratios(lane_of("robust", 1, 50), lane_of("static", 1));
  CHECK(slow["p50_ratio"].get<double>() == Approx(1).epsilon(0.01));
  CHECK(slow["mean_ratio"].get<double>() == Approx(1.49).epsilon(0.01));
}

TEST_CASE("A lane's result has its tokens a second, its bytes by link and its decisions") {
  LaneResult lane = lane_of("robust", 0.5);
  lane.bytes = {Bytes(9), Bytes(8), Bytes(7), Bytes(6)};
  lane.decisions.due = 5;
  lane.decisions.rearranged = 2;
  lane.layers_moved = 11;
  const auto json = to_json(lane);
  CHECK(json["steps"] == 100);
  CHECK(json["throughput_tokens_per_second"].get<double>() == Approx(20).epsilon(0.01));
  CHECK(json["bytes_by_link"] ==
        nlohmann::ordered_json({{"intra_node", 8}, {"inter_node", 7}, {"inter_rack", 6}}));
  CHECK(json["decisions"]["due"] == 5);
  CHECK(json["decisions"]["rearranged"] == 2);
  CHECK(json["layers_moved"] == 11);
}

TEST_CASE("A rearrangement has paid once its gain per step has made up for what serving lost") {
  RearrangementRecord record;
  record.exposed = Seconds(6);
  record.gained = Seconds(4);
  record.steps_in_force = 8;
  const auto rows = to_json(std::vector<RearrangementRecord>{record});
  REQUIRE(rows.size() == 1);
  CHECK(rows[0]["break_even_steps"].get<double>() == Approx(12));
  record.gained = Seconds(-1);
  CHECK(to_json(std::vector<RearrangementRecord>{record})[0]["break_even_steps"].is_null());
}

TEST_CASE("Lanes that moved nothing have no row among the moves") {
  LaneResult moved = lane_of("robust", 1);
  moved.layers_moved = 1;
  const std::vector<LaneResult> lanes = {lane_of("static", 2), moved};
  CHECK(lane_table(lanes, lanes[0]).rows.size() == 2);
  CHECK(move_table(lanes).rows.size() == 1);
}
