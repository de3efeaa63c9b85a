// SPDX-License-Identifier: Apache-2.0
#include "moeshift/simulate/diagnosis.hpp"

#include <cmath>
#include <memory>
#include <vector>

#include "moeshift/core/rng.hpp"
#include "moeshift/plan/registry.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/simulate/small_world.hpp"

using namespace moeshift;

namespace {

constexpr std::size_t kExperts = 16;
constexpr std::size_t kRanks = 4;

/// `width` hot experts with `excess` times the load of the others, plus a little noise.
LoadMatrix load_with(Rng& rng, std::size_t hot, double excess, std::size_t width = 4) {
  LoadMatrix load(2, kExperts);
  for (double& tokens : load.items()) tokens = 1000 * (1 + 0.01 * rng.normal());
  for (const LayerId layer : load.row_ids()) {
    for (std::size_t e = 0; e < width; ++e) load.row(layer)[(hot + e) % kExperts] *= excess;
  }
  return load;
}

/// The verdict on 96 steps whose hot experts are `hot_at(step)`.
template <class HotAt>
Diagnosis verdict_on(double excess, HotAt hot_at, std::size_t width = 4) {
  Rng rng(1);
  std::vector<LoadMatrix> steps;
  for (std::size_t step = 0; step < 96; ++step) {
    steps.push_back(load_with(rng, hot_at(step), excess, width));
  }
  std::size_t next = 0;
  const StepSource source = [&](TraceStep& step) {
    if (next == steps.size()) return false;
    step.load = steps[next++];
    return true;
  };
  const Deployment deployment =
      test::small_deployment(kRanks, 2, test::small_parameters(), Bytes(1000));
  std::vector<std::uint32_t> slots;
  for (std::uint32_t e = 0; e < kExperts; ++e) slots.push_back(e);
  BacktestOptions options;
  options.planner = make_planner("balanced");
  options.warm_up = 8;
  options.intervals = backtest_intervals(steps.size(), 1);
  const Placement initial = test::placement_of(2, kExperts, kRanks, slots);
  NoProgress progress;
  const std::vector<BacktestLane> lanes =
      backtest(source, deployment, initial, initial, options, {}, progress);
  return diagnose(lanes);
}

}  // namespace

TEST_CASE("balanced traffic is advised to leave rebalancing off") {
  const Diagnosis diagnosis = verdict_on(1.03, [](std::size_t) { return std::size_t{0}; });
  CHECK(name_of(diagnosis.advice) == "leave off");
  CHECK_FALSE(diagnosis.reasons.empty());
}

TEST_CASE("skewed traffic that stays as it is is advised one static plan") {
  const Diagnosis diagnosis = verdict_on(4, [](std::size_t) { return std::size_t{0}; });
  CHECK(name_of(diagnosis.advice) == "static plan");
  CHECK(diagnosis.firm);
}

TEST_CASE("skewed traffic that changes its domain is advised to plan again soon") {
  const Diagnosis diagnosis = verdict_on(4, [](std::size_t step) { return step / 24 % 4 * 4; });
  REQUIRE(name_of(diagnosis.advice) == "dynamic");
  CHECK(*diagnosis.lane <= 4);  // never, once, every 1, 2, 4 ...
  CHECK(diagnosis.best_interval.has_value());
}

TEST_CASE("skew that moves on at every step is not worth chasing") {
  Rng rng(7);
  std::vector<std::size_t> hot;
  for (int i = 0; i < 96; ++i) hot.push_back(rng.below(kExperts));
  const Diagnosis diagnosis = verdict_on(4, [&](std::size_t step) { return hot[step]; }, 1);
  CHECK(name_of(diagnosis.advice) == "leave off");
}

TEST_CASE("the noise floor is the formula of the documentation") {
  CHECK(noise_floor(32, 8192) == Approx(1 + std::sqrt(2 * std::log(32.0) / 8192)));
  CHECK(noise_floor(1, 100) == 1);
}

TEST_CASE("intervals are powers of two of recorded steps up to a quarter of the trace") {
  CHECK(backtest_intervals(8, 1) == std::vector<std::uint64_t>{1, 2});
  CHECK(backtest_intervals(3, 10) == std::vector<std::uint64_t>{10});
  CHECK(backtest_intervals(64, 1) == std::vector<std::uint64_t>{1, 2, 4, 8, 16});
  CHECK(backtest_intervals(100000, 1, 3) == std::vector<std::uint64_t>{128, 1024, 16384});
}

TEST_CASE("the layers that matter are the fewest with most of what can be avoided") {
  const std::vector<LayerOutlook> layers = {
      {.excess_share = 0.1}, {.excess_share = 0.6}, {.excess_share = 0.0}, {.excess_share = 0.3}};
  CHECK(layers_that_matter(layers) == std::vector<LayerId>{LayerId(1), LayerId(3)});
}

TEST_CASE("what a placement could reach is of times where ranks differ in speed") {
  Rng rng(3);
  const LoadMatrix load = load_with(rng, 0, 4);
  std::vector<std::uint32_t> slots;
  for (std::uint32_t e = 0; e < kExperts; ++e) slots.push_back(e);
  std::vector<double> speed(kRanks, 1.0);
  speed.front() = 0.5;
  NoProgress progress;
  const Placement without = test::placement_of(2, kExperts, kRanks, slots);
  const Topology topology(kRanks, 2);
  const auto planner = make_planner("balanced");
  const auto layers =
      layer_outlooks(load, without, 20, topology, 1, *planner, Threads{1}, progress, speed);
  const auto alike = layer_outlooks(load, without, 20, topology, 1, *planner, Threads{1}, progress);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    CHECK(layers[i].lower_bound >= 1 - 1e-9);  // the mean time bounds every division
    CHECK(layers[i].lower_bound <= layers[i].with_slots + 1e-9);
    CHECK(layers[i].now > alike[i].now);  // the slow rank has its share and takes twice as long
  }
}

TEST_CASE("what a placement could reach lies between the bound and what there is") {
  Rng rng(3);
  LoadMatrix load = load_with(rng, 0, 4);
  std::vector<std::uint32_t> slots;
  for (std::uint32_t e = 0; e < kExperts; ++e) slots.push_back(e);
  NoProgress progress;
  const std::vector<LayerOutlook> layers =
      layer_outlooks(load, test::placement_of(2, kExperts, kRanks, slots), 20, Topology(kRanks, 2),
                     1, *make_planner("balanced"), Threads{1}, progress);
  REQUIRE(layers.size() == 2);
  for (const LayerOutlook& layer : layers) {
    CHECK(layer.lower_bound <= layer.with_slots + 1e-9);
    CHECK(layer.with_slots <= layer.without + 1e-9);
    CHECK(layer.without <= layer.now + 1e-9);
  }
}
