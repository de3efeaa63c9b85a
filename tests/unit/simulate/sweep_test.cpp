// SPDX-License-Identifier: Apache-2.0
#include "moeshift/simulate/sweep.hpp"

#include <vector>

#include "tests/support/catch.hpp"

using namespace moeshift;

namespace {

constexpr std::uint64_t kSteps = 64;

/// A row whose steps take `seconds`, the first half `noise` more and the rest as much less.
SweepRow row_of(double seconds, double noise, Bytes memory, Bytes moved = Bytes(0),
                std::size_t ranks = 4) {
  SweepRow row;
  row.point = {"incremental", ranks, 16, 10, ""};
  row.memory = memory;
  row.result.bytes.back() = moved;
  for (std::uint64_t step = 0; step < kSteps; ++step) {
    const Seconds time(seconds + (step < kSteps / 2 ? noise : -noise));
    row.blocks.add(step, step, time);
    row.result.step_times.add(time);
    row.result.tokens += 100;
  }
  return row;
}

}  // namespace

TEST_CASE("A sweep advises the row of least memory among those that may be as good as the best") {
  const std::vector<SweepRow> rows = {row_of(1.0, 0, Bytes(30)), row_of(1.001, 0.3, Bytes(20)),
                                      row_of(2.0, 0, Bytes(10)), row_of(1.002, 0.3, Bytes(25))};
  const SweepVerdict verdict = judge_sweep(rows, SweepGoal::kThroughput, 1);
  CHECK(verdict.best == 0);
  CHECK(verdict.runner_up == 1U);
  CHECK(verdict.tied == std::vector<std::size_t>{1, 3});
  CHECK(verdict.thrifty == 1);
  CHECK(verdict.behind[2].mean == Approx(1.0));
}

TEST_CASE("Of rows that take as much memory a sweep advises the one that moves fewer bytes") {
  const std::vector<SweepRow> rows = {row_of(1.0, 0, Bytes(20), Bytes(900)),
                                      row_of(1.001, 0.3, Bytes(20), Bytes(100))};
  CHECK(judge_sweep(rows, SweepGoal::kThroughput, 1).thrifty == 1);
}

TEST_CASE("A row more than 1 % behind the best is not advised, be it chance or not") {
  const std::vector<SweepRow> rows = {row_of(1.0, 0, Bytes(30)), row_of(1.02, 0.9, Bytes(10))};
  const SweepVerdict verdict = judge_sweep(rows, SweepGoal::kThroughput, 1);
  CHECK(verdict.tied == std::vector<std::size_t>{1});
  CHECK(verdict.thrifty == 0);
}

TEST_CASE("Per rank, half as many ranks may be slower and still best") {
  const std::vector<SweepRow> rows = {row_of(1.0, 0, Bytes(10), Bytes(0), 8),
                                      row_of(1.5, 0, Bytes(20), Bytes(0), 4)};
  CHECK(judge_sweep(rows, SweepGoal::kThroughput, 1).best == 0);
  const SweepVerdict verdict = judge_sweep(rows, SweepGoal::kPerRank, 1);
  CHECK(verdict.best == 1);
  CHECK(verdict.behind[0].mean == Approx(8 * 1.0 - 4 * 1.5));
}

TEST_CASE("A grid has static once per shape and the others with every interval and forecaster") {
  const SweepGrid grid{.policies = {"static", "robust"},
                       .ranks = {4, 8},
                       .slots = {16},
                       .intervals = {10, 20},
                       .forecasters = {"last", "mean:4"}};
  const std::vector<SweepPoint> points = grid.points();
  CHECK(points.size() == 2 * (1 + 2 * 2));
  CHECK(points[0].name() == "static, 4 ranks, 16 slots");
  CHECK(points[1].name() == "robust, 4 ranks, 16 slots, every 10, last");
}

TEST_CASE("Expert memory counts slots of all layers, and buffers unless nothing ever moves") {
  MoeModel model;
  model.num_layers = 3;
  model.expert_tensors = {{"w", {10}, "int8", Bytes(10)}};
  const SweepPoint still{"static", 4, 16, 0, ""};
  CHECK(expert_memory(model, still, 2) == Bytes(3 * 4 * 10));
  const SweepPoint moving{"robust", 4, 16, 10, ""};
  CHECK(expert_memory(model, moving, 2) == Bytes((3 + 2) * 4 * 10));
}
