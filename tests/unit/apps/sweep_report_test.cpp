// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/serving/sweep_report.hpp"

#include <vector>

#include <nlohmann/json.hpp>

#include "tests/support/catch.hpp"

using namespace moeshift;
using namespace moeshift::cli;

namespace {

constexpr std::uint64_t kSteps = 64;

SweepRow row_of(const std::string& policy, std::size_t slots, double seconds, double noise,
                Bytes memory) {
  SweepRow row;
  row.point = {policy, 4, slots, policy == "static" ? 0U : 10U, ""};
  row.memory = memory;
  for (std::uint64_t step = 0; step < kSteps; ++step) {
    const Seconds time(seconds + (step < kSteps / 2 ? noise : -noise));
    row.blocks.add(step, step, time);  // every step a recording of its own
    row.result.step_times.add(time);
    row.result.tokens += 100;
  }
  return row;
}

}  // namespace

TEST_CASE("Of rows that the trace cannot tell apart the sweep advises the one of least memory") {
  const std::vector<SweepRow> rows = {
      row_of("static", 16, 2.0, 0, Bytes(16)), row_of("static", 20, 2.0, 0, Bytes(20)),
      row_of("robust", 20, 1.0, 0, Bytes(22)), row_of("incremental", 16, 1.001, 0.3, Bytes(18))};
  const SweepVerdict verdict = judge_sweep(rows, SweepGoal::kThroughput, 1);
  const nlohmann::ordered_json best = best_json(rows, verdict, SweepGoal::kThroughput);
  CHECK(best["policy"] == "robust");
  CHECK(best["certain"] == false);
  CHECK(best["thriftiest"] == "incremental, 4 ranks, 16 slots, every 10");
  const Conclusion said = conclusion_of(rows, verdict, SweepGoal::kThroughput);
  CHECK(said.text.find("Advised: incremental, 4 ranks, 16 slots") != std::string::npos);
  CHECK(said.tone == Tone::kPlain);
  REQUIRE(said.reasons.size() == 2);
  CHECK(said.reasons[1].find("cannot tell the best apart from incremental") != std::string::npos);
}

TEST_CASE("A sweep with a clear winner says that the difference is real") {
  const std::vector<SweepRow> rows = {row_of("static", 16, 2.0, 0, Bytes(16)),
                                      row_of("robust", 16, 1.0, 0, Bytes(22))};
  const SweepVerdict verdict = judge_sweep(rows, SweepGoal::kThroughput, 1);
  const Conclusion said = conclusion_of(rows, verdict, SweepGoal::kThroughput);
  CHECK(said.text.find("a real difference") != std::string::npos);
  CHECK(said.tone == Tone::kGood);
}

TEST_CASE("Per rank, too, a row is behind by a share of what the best takes") {
  const std::vector<SweepRow> rows = {row_of("static", 16, 2.0, 0, Bytes(16)),
                                      row_of("robust", 16, 1.0, 0, Bytes(22))};
  for (const SweepGoal goal : {SweepGoal::kThroughput, SweepGoal::kPerRank}) {
    const Table table = sweep_table(rows, judge_sweep(rows, goal, 1), goal);
    CHECK(table.rows[0][10].shown.rfind("100.00 ", 0) == 0);
  }
}

TEST_CASE("What cannot be is told by its reason") {
  MoeModel model;
  model.num_layers = 2;
  model.num_experts = 16;
  model.expert_tensors = {{"w", {10}, "int8", Bytes(10)}};
  const SweepPoint point{"robust", 4, 16, 10, ""};
  CHECK_FALSE(shape_refusal(point, model, 1, Bytes(1000)).has_value());
  CHECK(shape_refusal({"robust", 5, 16, 10, ""}, model, 1, Bytes(1000)) ==
        "16 slots do not divide by 5 ranks");
  CHECK(shape_refusal({"robust", 4, 12, 10, ""}, model, 1, Bytes(1000)) ==
        "12 slots cannot hold 16 experts");
  CHECK(shape_refusal(point, model, 1, Bytes(100)) ==
        "experts take 120 B per rank, 100 B are allowed");
}
