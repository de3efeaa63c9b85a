// SPDX-License-Identifier: Apache-2.0
#include "moeshift/simulate/lane.hpp"

#include <cmath>
#include <vector>

#include "moeshift/core/rng.hpp"
#include "moeshift/cost/transfer_cost.hpp"
#include "moeshift/plan/registry.hpp"
#include "moeshift/schedule/scheduler.hpp"
#include "moeshift/simulate/presets.hpp"
#include "moeshift/simulate/replay.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/simulate/small_world.hpp"

using namespace moeshift;
using namespace moeshift::test;

namespace {

Approx exactly(double value) {
  return Approx(value).epsilon(1e-9);
}

LaneSettings settings_of(const char* mode, std::uint64_t interval,
                         std::shared_ptr<const Planner> planner) {
  LaneSettings settings;
  settings.planner = std::move(planner);
  settings.forecaster = "last";
  settings.rule.interval = interval;
  parse_mode(mode, settings.mode);
  return settings;
}

LaneResult serve(Lane& lane, const LoadMatrix& load, std::size_t steps) {
  for (std::size_t i = 0; i < steps; ++i) lane.serve(load);
  return lane.result();
}

constexpr double kStepFixed = 1e-3;

/// Step of the two-rank world with `a` tokens on rank 0 and `b` on rank 1, closed form.
double step_seconds(double a, double b, std::size_t layers) {
  const double busiest = std::max(a, b);
  const double layer = 1e-4 + busiest * 1e-6 + 2e-5 + busiest / 2 * 300 / 1e9;
  const double dense = std::max(1e-5, (a + b) / 2 / 2 * 1e-7);
  return kStepFixed + static_cast<double>(layers) * (layer + dense);
}

}  // namespace

TEST_CASE("a constant load on a fixed placement takes the closed form every step") {
  const Deployment deployment = small_deployment(2, 1);
  Lane lane({.name = "static"}, deployment, placement_of(3, 4, 2, {0, 1, 2, 3}));
  const LaneResult result = serve(lane, load_of(3, {400, 100, 100, 100}), 50);
  REQUIRE(result.steps == 50);
  REQUIRE(result.step_times.mean().count() == exactly(step_seconds(500, 200, 3)));
  REQUIRE(result.step_times.quantile(0.99).count() == exactly(step_seconds(500, 200, 3)));
  REQUIRE(result.tokens == exactly(50 * 700 / 2));
  REQUIRE(result.balancedness == exactly(350.0 / 500));
  REQUIRE(result.exposed == Seconds());
  REQUIRE(result.bytes == BytesByLink{});
}

TEST_CASE("a synchronous move stalls one step by the cost model's time and then serves faster") {
  const Deployment deployment = small_deployment(2, 1);
  const Placement old = placement_of(1, 4, 2, {0, 1, 2, 3});
  const Placement next = placement_of(1, 4, 2, {0, 2, 1, 3});
  LaneSettings settings = settings_of("sync", 10, std::make_shared<FixedPlanner>(next));
  settings.mode.plan = Seconds(0.25);
  Lane lane(settings, deployment, old);
  const LaneResult result = serve(lane, load_of(1, {300, 200, 10, 20}), 40);

  const TransferPlan plan =
      make_transfer_plan(old, next, deployment.topology(), deployment.expert_sizes);
  const double stall = 0.25 + price(plan, deployment.topology(), deployment.cluster).total.count();
  const double before = step_seconds(500, 30, 1);
  const double after = step_seconds(310, 220, 1);
  REQUIRE(result.exposed.count() == exactly(stall));
  REQUIRE(result.step_times.largest().count() == exactly(stall + after));
  REQUIRE(result.step_times.sum().count() == exactly(10 * before + 30 * after + stall));
  REQUIRE(result.overlapped == Seconds());
  REQUIRE(result.decisions.rearranged == 1);
  REQUIRE(result.decisions.unchanged == 2);  // at steps 20 and 30 there is nothing left to move
  const RearrangementRecord& record = result.rearrangements.at(0);
  REQUIRE(record.step == 10);
  REQUIRE(record.steps_in_force == 30);
  REQUIRE(record.gained.count() == exactly(30 * (before - after)));
  REQUIRE(record.predicted_gain.count() == exactly(before - after));
  REQUIRE(*record.break_even_steps() == exactly(stall / (before - after)));
  REQUIRE(record.bytes[1] == Bytes(2'000'000));
}

TEST_CASE(
    "an asynchronous move overlaps its staging and exposes votes and commits and contention") {
  const Deployment deployment = small_deployment(2, 1);
  const Placement old = placement_of(1, 4, 2, {0, 1, 2, 3});
  const Placement next = placement_of(1, 4, 2, {0, 2, 1, 3});
  LaneSettings settings = settings_of("async", 10, std::make_shared<FixedPlanner>(next));
  settings.mode.background_share = 0.5;
  Lane lane(settings, deployment, old);
  const LaneResult result = serve(lane, load_of(1, {300, 200, 10, 20}), 40);

  const TransferPlan plan =
      make_transfer_plan(old, next, deployment.topology(), deployment.expert_sizes);
  const TransferCost cost = price(plan, deployment.topology(), deployment.cluster,
                                  {.buffers = 2, .synchronous = false, .background_share = 0.5});
  const double staging = (cost.connection + cost.stage).count();
  // Beside staging the links have half their rate: 250 tokens x 300 bytes take twice as long.
  const double before = step_seconds(500, 30, 1);
  const double slow = before + 250 * 300 / 1e9;
  const double lost = staging * (1 - before / slow);
  const double after = step_seconds(310, 220, 1);
  REQUIRE(result.overlapped.count() == exactly(staging));
  const double boundaries = std::ceil(staging / slow);  // every one of them votes
  const double stalls = boundaries * cost.layers[0].vote.count() + cost.commit.count();
  REQUIRE(result.exposed.count() == exactly(stalls + lost));
  const double old_steps = 10 + boundaries;
  REQUIRE(result.step_times.sum().count() ==
          exactly(old_steps * before + (40 - old_steps) * after + stalls + lost));
}

TEST_CASE("without a price the same decisions cost nothing") {
  const Deployment deployment = small_deployment(2, 1);
  LaneSettings settings =
      settings_of("sync", 10, std::make_shared<FixedPlanner>(placement_of(1, 4, 2, {0, 2, 1, 3})));
  settings.price = TransferPrice::kFree;
  Lane lane(settings, deployment, placement_of(1, 4, 2, {0, 1, 2, 3}));
  const LaneResult result = serve(lane, load_of(1, {300, 200, 10, 20}), 40);
  REQUIRE(result.exposed == Seconds());
  REQUIRE(result.step_times.sum().count() ==
          exactly(10 * step_seconds(500, 30, 1) + 30 * step_seconds(310, 220, 1)));
}

TEST_CASE("a decision waits until the rearrangement before it has ended") {
  const Deployment deployment = small_deployment(2, 1);
  std::shared_ptr<const Planner> planner = make_planner("deepseek");
  LaneSettings settings = settings_of("async:1", 5, planner);
  settings.mode.buffers = 1;
  settings.mode.handshake_unchanged = true;
  Lane lane(settings, deployment, placement_of(20, 4, 2, {0, 1, 2, 3}));
  // The hot expert changes all the time, so that every decision moves something.
  LaneResult result;
  for (std::size_t i = 0; i < 200; ++i) {
    std::vector<double> row = {10, 20, 30, 40};
    row[(i / 3) % 4] = 300;
    result = serve(lane, load_of(20, row), 1);
  }
  REQUIRE(result.decisions.postponed > 0);
  REQUIRE(result.longest_rearrangement_steps >= 20);
  REQUIRE(result.decisions.rearranged <= 200 / 20);
}

TEST_CASE("a balanced forecast is left alone and so is one that is little worse than promised") {
  const Deployment deployment = small_deployment(2, 1);
  const auto planner = std::make_shared<FixedPlanner>(placement_of(1, 4, 2, {0, 2, 1, 3}));
  LaneSettings settings = settings_of("sync", 10, planner);
  settings.rule.min_balancedness = 0.9;
  Lane balanced(settings, deployment, placement_of(1, 4, 2, {0, 1, 2, 3}));
  REQUIRE(serve(balanced, load_of(1, {100, 100, 100, 110}), 35).decisions.balanced == 3);
  Lane skewed(settings, deployment, placement_of(1, 4, 2, {0, 1, 2, 3}));
  REQUIRE(serve(skewed, load_of(1, {300, 200, 10, 20}), 15).decisions.rearranged == 1);

  settings.rule.min_balancedness.reset();
  settings.rule.hysteresis = 0.05;
  Lane steady(settings, deployment, placement_of(1, 4, 2, {0, 1, 2, 3}));
  const LaneResult result = serve(steady, load_of(1, {300, 200, 10, 20}), 35);
  REQUIRE(result.decisions.rearranged == 1);
  REQUIRE(result.decisions.hysteresis == 2);
}

TEST_CASE("only layers whose gain pays for their move are moved") {
  const Deployment deployment = small_deployment(2, 1);
  const auto planner = std::make_shared<FixedPlanner>(placement_of(2, 4, 2, {0, 2, 1, 3}));
  LoadMatrix load = load_of(2, {300, 200, 10, 20});
  const std::vector<double> flat = {101, 100, 100, 100};
  std::copy(flat.begin(), flat.end(), load.row(LayerId(1)).begin());
  LaneSettings settings = settings_of("sync", 1000, planner);
  settings.rule.first = 1;
  settings.rule.min_gain_over_cost = 1;
  Lane lane(settings, deployment, placement_of(2, 4, 2, {0, 1, 2, 3}));
  const LaneResult result = serve(lane, load, 3);
  REQUIRE(result.layers_moved == 1);
  REQUIRE(lane.placement()(LayerId(0), SlotId(1)) == ExpertId(2));
  REQUIRE(lane.placement()(LayerId(1), SlotId(1)) == ExpertId(1));

  settings.rule.horizon = 1;  // over one step nothing pays
  Lane hasty(settings, deployment, placement_of(2, 4, 2, {0, 1, 2, 3}));
  REQUIRE(serve(hasty, load, 3).decisions.too_costly == 1);
}

TEST_CASE("an abrupt change of traffic makes long windows lose") {
  const Deployment deployment = small_deployment(4, 2);
  std::shared_ptr<const Planner> planner = make_planner("deepseek");
  const Placement identity =
      placement_of(1, 16, 4, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15});
  const auto traffic = [](std::uint64_t seed) {
    Rng rng(seed);
    std::vector<double> row(16);
    for (double& tokens : row) tokens = std::round(100 * std::exp(rng.normal()));
    return load_of(1, row);
  };
  const auto run = [&](const char* forecaster) {
    double seconds = 0;
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      LaneSettings settings = settings_of("sync", 10, planner);
      settings.forecaster = forecaster;
      settings.price = TransferPrice::kFree;
      Lane lane(settings, deployment, identity);
      (void)serve(lane, traffic(seed), 500);
      seconds += serve(lane, traffic(seed + 1000), 200).step_times.sum().count();
    }
    return seconds;
  };
  REQUIRE(run("mean:20") < run("mean:500"));
}

TEST_CASE("a model as balanced as 1.07 is left alone, whatever the policy would do") {
  const Deployment deployment = small_deployment(4, 2);
  for (const char* policy : {"incremental", "deepseek", "balanced"}) {
    LaneSettings settings;
    apply_preset("moeshift", settings);
    settings.planner = make_planner(policy);
    settings.rule.interval = 50;
    Lane lane(settings, deployment, placement_of(3, 8, 4, {0, 1, 2, 3, 4, 5, 6, 7}));
    // Rank 0 carries 214 of 800 tokens, 1.07 times its share.
    const LaneResult result = serve(lane, load_of(3, {110, 104, 100, 98, 97, 98, 96, 97}), 500);
    REQUIRE(1 / result.balancedness == Approx(1.07));
    REQUIRE(result.decisions.balanced == 9);
    REQUIRE(result.decisions.rearranged == 0);
    REQUIRE(result.exposed == Seconds());
  }
}

TEST_CASE("moving every 100 steps over a slow network is worse than not moving") {
  // 1 GB per expert over 0.1 GB/s: seconds per move; the gain is a fraction of a millisecond.
  const Deployment deployment = small_deployment(4, 2, small_parameters(), Bytes(1'000'000'000));
  std::shared_ptr<const Planner> planner = make_planner("deepseek");
  const auto run = [&](std::shared_ptr<const Planner> policy) {
    Lane lane(settings_of("sync", 100, std::move(policy)), deployment,
              placement_of(1, 8, 4, {0, 1, 2, 3, 4, 5, 6, 7}));
    Seconds sum;
    for (int i = 0; i < 1000; ++i) {
      std::vector<double> row(8, 100);
      row[static_cast<std::size_t>(i / 100) % 8] = 500;
      lane.serve(load_of(1, row));
    }
    sum = lane.result().step_times.sum();
    return sum;
  };
  REQUIRE(run(planner) > run(nullptr));
}

TEST_CASE("the oracle plans for each window before it is served") {
  const Deployment deployment = small_deployment(2, 1);
  LaneSettings settings = settings_of("sync", 5, make_planner("deepseek"));
  settings.oracle = true;
  settings.price = TransferPrice::kFree;
  Lane lane(settings, deployment, placement_of(1, 4, 2, {0, 1, 2, 3}));
  Lane plain({.name = "static"}, deployment, placement_of(1, 4, 2, {0, 1, 2, 3}));
  std::vector<Lane*> lanes = {&lane, &plain};
  int left = 12;
  const StepSource source = [&](TraceStep& step) {
    step.load = left > 6 ? load_of(1, {300, 200, 10, 20}) : load_of(1, {10, 200, 20, 300});
    return left-- > 0;
  };
  NoProgress progress;
  REQUIRE(replay(source, lanes, {}, progress) == 12);
  REQUIRE(lane.result().steps == 12);
  REQUIRE(lane.result().tokens == plain.result().tokens);
  REQUIRE(lane.result().decisions.due == 3);
  REQUIRE(lane.result().step_times.sum() < plain.result().step_times.sum());
}

TEST_CASE("a source is not asked again once it has ended") {
  const Deployment deployment = small_deployment(2, 1);
  Lane lane({.name = "static"}, deployment, placement_of(2, 4, 2, {0, 1, 2, 3}));
  std::vector<Lane*> lanes = {&lane};
  std::size_t asked = 0;
  const StepSource source = [&](TraceStep& step) {
    step.load = load_of(2, {4, 1, 1, 1});
    return ++asked <= 600;  // more than a block
  };
  NoProgress progress;
  REQUIRE(replay(source, lanes, {.threads = Threads{2}}, progress) == 600);
  REQUIRE(asked == 601);
}

TEST_CASE("replay scales and repeats recorded steps") {
  const Deployment deployment = small_deployment(2, 1);
  Lane lane({.name = "static"}, deployment, placement_of(2, 4, 2, {0, 1, 2, 3}));
  std::vector<Lane*> lanes = {&lane};
  int left = 3;
  const StepSource source = [&](TraceStep& step) {
    step.load = load_of(2, {4, 1, 1, 1});
    return left-- > 0;
  };
  NoProgress progress;
  REQUIRE(replay(source, lanes, {.tokens_per_step = 350, .repeat = 4}, progress) == 3);
  REQUIRE(lane.result().steps == 12);
  REQUIRE(lane.result().tokens == exactly(12 * 350));
  REQUIRE(lane.result().step_times.mean().count() == exactly(step_seconds(500, 200, 2)));
}

TEST_CASE("passes share the tokens of their recording unless their size is asked for") {
  const Deployment deployment = small_deployment(2, 1);
  Lane lane({.name = "static"}, deployment, placement_of(2, 4, 2, {0, 1, 2, 3}));
  std::vector<Lane*> lanes = {&lane};
  int left = 3;
  const StepSource source = [&](TraceStep& step) {
    step.load = load_of(2, {4000, 1000, 1000, 1000});
    return left-- > 0;
  };
  NoProgress progress;
  REQUIRE(replay(source, lanes, {.repeat = 10}, progress) == 3);
  REQUIRE(lane.result().steps == 30);
  REQUIRE(lane.result().tokens == exactly(3 * 3500));
  REQUIRE(lane.result().step_times.mean().count() == exactly(step_seconds(500, 200, 2)));
}

TEST_CASE("no policy plans on the recording that it is scored on") {
  const Deployment deployment = small_deployment(2, 1);
  const Placement initial = placement_of(1, 4, 2, {0, 1, 2, 3});
  const char* forecaster = GENERATE("last", "mean:7", "ewma:0.3", "samples:2");
  LaneSettings settings = settings_of("sync", 3, make_planner("deepseek"));
  settings.forecaster = forecaster;
  settings.price = TransferPrice::kFree;
  Lane lane(settings, deployment, initial);
  Lane still({.name = "static"}, deployment, initial);
  // Experts 0 and 1 are hot together, then 0 and 2: what was right for one is wrong for the other.
  const LoadMatrix first = load_of(1, {300, 300, 10, 10});
  const LoadMatrix second = load_of(1, {300, 10, 300, 10});
  lane.serve(first, 10);
  still.serve(first, 10);
  REQUIRE(lane.result().decisions.due == 0);  // due at passes 3, 6 and 9, with nothing seen yet
  REQUIRE(lane.result().step_times.sum() == still.result().step_times.sum());
  const Seconds before = lane.result().step_times.sum();
  lane.serve(second, 10);
  // At once, on the first recording alone; and no pass of the second one changes that.
  REQUIRE(lane.result().rearrangements.at(0).step == 10);
  REQUIRE(lane.result().decisions.rearranged == 1);
  REQUIRE((lane.result().step_times.sum() - before).count() ==
          exactly(10 * step_seconds(600, 20, 1)));
}

TEST_CASE("recorded sums of many forward passes are served as passes and lose no token") {
  const Deployment deployment = small_deployment(2, 1);
  Lane lane({.name = "static"}, deployment, placement_of(2, 4, 2, {0, 1, 2, 3}));
  std::vector<Lane*> lanes = {&lane};
  int left = 3;
  const StepSource source = [&](TraceStep& step) {
    step.load = load_of(2, {4000, 1000, 1000, 1000});  // 3500 tokens of two experts
    return left-- > 0;
  };
  NoProgress progress;
  REQUIRE(replay(source, lanes, {.most_tokens_per_rank = 500}, progress) == 3);
  REQUIRE(lane.result().steps == 3 * 4);  // of at most 1000 tokens on both ranks
  REQUIRE(lane.result().tokens == exactly(3 * 3500));
  REQUIRE(lane.result().step_times.mean().count() == exactly(step_seconds(1250, 500, 2)));
}

TEST_CASE("a better plan is kept under every engine's preset and each decides in its own time") {
  const Deployment deployment = small_deployment(2, 1);
  const auto first_rearrangement = [&](const char* engine) {
    LaneSettings settings;
    apply_preset(engine, settings);
    settings.planner = std::make_shared<FixedPlanner>(placement_of(2, 4, 2, {0, 2, 1, 3}));
    Lane lane(settings, deployment, placement_of(2, 4, 2, {0, 1, 2, 3}));
    return serve(lane, load_of(2, {30000, 20000, 1000, 2000}), 1100).rearrangements.at(0).step;
  };
  REQUIRE(first_rearrangement("vllm") == 750);  // its counter starts at 3/4 of 3000
  REQUIRE(first_rearrangement("sglang") == 1000);
  REQUIRE(first_rearrangement("moeshift") == 1000);
}

TEST_CASE("a threshold over served steps counts the noise that a forecast averages out") {
  const Deployment deployment = small_deployment(2, 1);
  LaneSettings settings =
      settings_of("sync", 10, std::make_shared<FixedPlanner>(placement_of(1, 4, 2, {0, 2, 1, 3})));
  settings.forecaster = "mean:10";
  settings.rule.min_balancedness = 0.9;
  const auto serve_noise = [&](std::size_t served_steps) {
    settings.rule.served_steps = served_steps;
    Lane lane(settings, deployment, placement_of(1, 4, 2, {0, 1, 2, 3}));
    for (int step = 0; step < 11; ++step) {
      const bool left = step % 2 == 0;
      lane.serve(load_of(
          1, left ? std::vector<double>{300, 100, 50, 50} : std::vector<double>{50, 50, 300, 100}));
    }
    return lane.result().decisions;
  };
  REQUIRE(serve_noise(0).balanced == 1);
  REQUIRE(serve_noise(10).balanced == 0);
}
