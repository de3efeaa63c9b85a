// SPDX-License-Identifier: Apache-2.0
// Simulator: layer-steps per second of one lane, and of many lanes on one and two threads.
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include <benchmark/benchmark.h>

#include "moeshift/core/rng.hpp"
#include "moeshift/plan/registry.hpp"
#include "moeshift/simulate/replay.hpp"

#include "tests/unit/simulate/small_world.hpp"

namespace moeshift {
namespace {

constexpr std::size_t kLayers = 58;
constexpr std::size_t kExperts = 256;
constexpr std::size_t kRanks = 32;

Placement initial() {
  std::vector<std::uint32_t> slots;
  for (std::uint32_t s = 0; s < 288; ++s) slots.push_back(s % kExperts);
  return test::placement_of(kLayers, kExperts, kRanks, slots);
}

std::vector<LoadMatrix> draw_steps(std::size_t count) {
  Rng rng(1);
  std::vector<LoadMatrix> steps(count, LoadMatrix(kLayers, kExperts));
  for (LoadMatrix& step : steps) {
    for (double& tokens : step.items()) tokens = 1 + rng.below(200);
  }
  return steps;
}

/// A lane of a static policy serves loads that are in memory already.
void BM_ServeStatic(benchmark::State& state) {
  const Deployment deployment = test::small_deployment(kRanks, 4);
  const std::vector<LoadMatrix> steps = draw_steps(16);
  Lane lane({.name = "static"}, deployment, initial());
  std::size_t next = 0;
  for (auto _ : state) lane.serve(steps[next++ % steps.size()]);
  state.counters["layer_steps"] =
      benchmark::Counter(static_cast<double>(next * kLayers), benchmark::Counter::kIsRate);
}
BENCHMARK(BM_ServeStatic);

/// A sweep: 8 lanes that plan every 100 steps, 300 steps, on so many threads. The ratio of the two
/// rates is what a second thread is worth.
void BM_Sweep(benchmark::State& state) {
  const Deployment deployment = test::small_deployment(kRanks, 4);
  const std::vector<LoadMatrix> steps = draw_steps(16);
  const std::shared_ptr<const Planner> planner = make_planner("deepseek");
  const Threads threads{static_cast<std::size_t>(state.range(0))};
  std::size_t served = 0;
  for (auto _ : state) {
    std::deque<Lane> lanes;
    for (std::size_t i = 0; i < 8; ++i) {
      LaneSettings settings;
      settings.planner = planner;
      settings.forecaster = "mean:50";
      settings.rule.interval = 100;
      lanes.emplace_back(settings, deployment, initial());
    }
    std::vector<Lane*> pointers;
    for (Lane& lane : lanes) pointers.push_back(&lane);
    std::size_t left = 300;
    const StepSource source = [&](TraceStep& step) {
      step.load = steps[left % steps.size()];
      return left-- > 0;
    };
    NoProgress progress;
    served += replay(source, pointers, {.threads = threads}, progress);
  }
  state.counters["layer_steps"] =
      benchmark::Counter(static_cast<double>(served * 8 * kLayers), benchmark::Counter::kIsRate);
}
BENCHMARK(BM_Sweep)->Arg(1)->Arg(2)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace moeshift
