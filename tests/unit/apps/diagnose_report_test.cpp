// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/serving/diagnose_report.hpp"

#include <nlohmann/json.hpp>

#include "tests/support/catch.hpp"
#include "tests/unit/apps/in_report.hpp"

using namespace moeshift;
using namespace moeshift::cli;
using moeshift::test::block_in;

namespace {

BacktestLane lane_of(const char* name, Habit habit, double seconds, std::uint64_t interval = 0) {
  BacktestLane lane;
  lane.name = name;
  lane.habit = habit;
  lane.interval = interval;
  for (std::uint64_t step = 0; step < 8; ++step) lane.blocks.add(step, step, Seconds(seconds));
  return lane;
}

/// Two layers, of which the second has three quarters of what can be avoided. Planning every ten
/// steps saves a fifth.
Findings findings() {
  Findings found;
  found.header.model = "toy";
  found.header.num_layers = 2;
  found.header.num_experts = 4;
  found.header.layer_ids = {3, 5};
  found.statistics.num_steps = 8;
  found.statistics.layers.resize(2);
  found.statistics.layers[0].imbalance = 2;
  found.statistics.layers[1].imbalance = 4;
  found.drift.dispersion = {1, 9};
  found.drift.step_dispersion = {1, 3};
  found.drift.lags = {{1, 7, 0.75, 0.25, 0.1, 0.05}};
  found.phase = {TrafficPhase::kDecode, true, {"the recording says so"}};
  found.layers = {{1.2, 1.1, 1.05, 1, 0.25}, {1.8, 1.5, 1.15, 1.1, 0.75}};
  found.lanes = {lane_of("never", Habit::kNever, 10), lane_of("every 10", Habit::kEvery, 8, 10)};
  found.lanes[1].result.decisions.rearranged = 3;
  found.lanes[1].result.bytes = {Bytes(5), Bytes(1000), Bytes(2000), Bytes(0)};
  found.diagnosis.advice = Advice::kDynamic;
  found.diagnosis.lane = 1;
  found.diagnosis.firm = true;
  found.diagnosis.saving_share = 0.2;
  found.diagnosis.windows = 8;
  found.diagnosis.ageing = 0.5;
  found.diagnosis.best_interval = 12;
  found.diagnosis.reasons = {"it saves a fifth"};
  found.diagnosis.outcomes = {{1, {2, 1.5, 2.5, 8, 1, IntervalMethod::kBootstrap}, Seconds(0.25)}};
  found.ranks = 4;
  found.nodes = 2;
  found.slots = 8;
  found.policy = "robust";
  found.mode = "sync";
  found.tokens_per_pass = 64;
  found.noise_floor = 1.3;
  return found;
}

const Table& table_called(const Report& report, const char* begin) {
  for (const Block& block : report.blocks()) {
    const Table* table = std::get_if<Table>(&block);
    if (table != nullptr && table->title.rfind(begin, 0) == 0) return *table;
  }
  FAIL("no table " << begin);
  std::abort();
}

}  // namespace

TEST_CASE("A diagnosis has its verdict, its saving and the interval that is advised") {
  const Report report = diagnosis_report(findings());
  const auto& advice = report.result().at("advice");
  CHECK(advice.at("verdict") == "dynamic");
  CHECK(advice.at("interval_steps") == 10);
  CHECK(advice.at("firm") == true);
  CHECK(advice.at("saving_share") == 0.2);
  CHECK(advice.at("windows") == 8);
  CHECK(advice.at("best_interval_steps") == 12.0);
  CHECK(advice.at("held_out").is_null());
  const Conclusion& said = block_in<Conclusion>(report);
  CHECK(said.text == "verdict: dynamic with an interval of 10 steps");
  CHECK(said.tone == Tone::kGood);
  CHECK(said.reasons == std::vector<std::string>{"it saves a fifth"});
}

TEST_CASE("A verdict that its interval does not carry is called likely") {
  Findings found = findings();
  found.diagnosis.firm = false;
  found.diagnosis.advice = Advice::kLeaveOff;
  found.diagnosis.lane.reset();
  const Report report = diagnosis_report(found);
  CHECK(report.result().at("advice").at("interval_steps").is_null());
  CHECK(block_in<Conclusion>(report).text == "verdict: leave off (likely, not certain)");
  CHECK(block_in<Conclusion>(report).tone == Tone::kPlain);
}

TEST_CASE("The backtest shows what a habit saves of the time without it, and what it moves") {
  const Report report = diagnosis_report(findings());
  const Table& table = table_called(report, "backtest");
  REQUIRE(table.rows.size() == 2);
  CHECK(table.rows[0][1].shown == "10.0 s");
  CHECK(table.rows[0][3].shown == "-");
  CHECK(table.rows[1][1].shown == "8.00 s");
  CHECK(table.rows[1][3].shown == "+20.0 [+15.0, +25.0] %");
  CHECK(table.rows[1][4].shown == "3");
  CHECK(table.rows[1][5].shown == "3.00 kB");  // what stays in a rank is not counted
  CHECK(table.rows[1][6].shown == "250 ms");
  const auto& lanes = report.result().at("backtest");
  CHECK(lanes.at(0).at("interval_steps").is_null());
  CHECK(lanes.at(0).at("saving_seconds").is_null());
  CHECK(lanes.at(1).at("interval_steps") == 10);
  CHECK(lanes.at(1).at("step_seconds").at("mean").get<double>() == Approx(8));
  CHECK(lanes.at(1).at("saving_seconds").at("low") == 1.5);
  CHECK(lanes.at(1).at("bytes_by_link").at("inter_node") == 2000);
}

TEST_CASE("Imbalances are means over layers, and layers that matter come worst first") {
  const Report report = diagnosis_report(findings());
  const auto& imbalance = report.result().at("imbalance");
  CHECK(imbalance.at("experts").get<double>() == Approx(3));
  CHECK(imbalance.at("ranks_now").get<double>() == Approx(1.5));
  CHECK(imbalance.at("ranks_without_redundancy").get<double>() == Approx(1.3));
  CHECK(imbalance.at("ranks_with_slots").get<double>() == Approx(1.1));
  CHECK(imbalance.at("lower_bound").get<double>() == Approx(1.05));
  CHECK(imbalance.at("noise_floor") == 1.3);
  CHECK(report.result().at("layers_that_matter").at(0) == 5);
  const Table& layers = table_called(report, "layers that matter");
  CHECK(layers.rows[0][0].shown == "5");
  CHECK(layers.rows[0][1].shown == "75.0 %");
  CHECK(layers.rows[0][2].shown == "1.80");
  CHECK(layers.rows[0][6].shown == "9.0");
  const auto& second = report.result().at("layers").at(1);
  CHECK(second.at("layer") == 5);
  CHECK(second.at("expert_imbalance") == 4.0);
  CHECK(second.at("ranks_with_slots") == 1.15);
}

TEST_CASE("Drift is told lag by lag beside chance and sampling") {
  const Report report = diagnosis_report(findings());
  const Table& table = table_called(report, "how persistent");
  REQUIRE(table.rows.size() == 1);
  CHECK(table.rows[0][1].shown == "75 %");
  CHECK(table.rows[0][2].shown == "25 %");
  CHECK(table.rows[0][3].shown == "10.0 %");
  CHECK(table.rows[0][4].shown == "5.0 %");
  CHECK(report.result().at("drift").at("lags").at(0).at("hot_overlap") == 0.75);
  CHECK(report.result().at("drift").at("dispersion_median") == 9.0);
}
