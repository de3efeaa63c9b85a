// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <map>
#include <string>
#include <vector>

#include "moeshift/core/rng.hpp"
#include "moeshift/plan/registry.hpp"
#include "moeshift/simulate/step_observer.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/random_placement.hpp"
#include "tests/unit/simulate/small_world.hpp"

using namespace moeshift;
using namespace moeshift::test;

namespace {

/// Adds up what it is shown, by a way of its own.
class Bookkeeper final : public StepObserver {
 public:
  void served(const ServedStep& step, const LoadMatrix& load,
              const std::vector<LayerDispatch>& dispatch, const ServingModel& model) override {
    REQUIRE(step.start.count() == Approx(clock.count()).epsilon(1e-9));
    REQUIRE(step.served >= step.quiet + step.busy - Seconds(1e-12));
    clock += step.stall + step.served;
    stalls += step.stall;
    for (const LayerId layer : step.committed) ++commits[layer];
    for (const LayerId layer : load.row_ids()) {
      double computed = 0;
      double routed = 0;
      for (const double tokens : model.rank_tokens(load.row(layer), dispatch[layer.index()])) {
        computed += tokens;
      }
      for (const double tokens : load.row(layer)) routed += tokens;
      REQUIRE(computed == Approx(routed).epsilon(1e-9));
    }
  }

  Seconds clock;
  Seconds stalls;
  std::map<LayerId, std::size_t> commits;
};

struct World {
  Deployment deployment;
  Placement initial;
};

World any_world(Rng& rng) {
  const std::size_t ranks = 2 + rng.below(5);
  PlacementShape shape;
  shape.layers = 1 + rng.below(6);
  shape.experts = 6 + rng.below(12);
  shape.ranks = ranks;
  shape.slots_per_rank = (shape.experts + ranks - 1) / ranks + rng.below(2);
  // No more slots on a rank than experts: our planners put no two replicas on one.
  shape.slots_per_rank = std::min(shape.slots_per_rank, shape.experts);
  return {small_deployment(ranks, 1 + rng.below(2)), random_placement(shape, rng)};
}

LaneSettings any_settings(Rng& rng) {
  static constexpr std::array kModes = {"sync",    "layered:1", "layered:3",     "async",
                                        "async:1", "async:2",   "trickle:700kB", "trickle:5MB"};
  static constexpr std::array kForecasters = {"last", "mean:7", "ewma:0.3", "samples:4"};
  LaneSettings settings;
  settings.name = "any";
  parse_mode(kModes[rng.below(kModes.size())], settings.mode);
  PolicyOptions policy;
  policy.expert_bytes = Bytes(1'000'000);
  const bool trickles = settings.mode.kind == ModeKind::kTrickle;
  if (trickles) policy.budget = Bytes(2'000'000);
  settings.planner =
      make_planner(trickles || rng.below(2) == 0 ? "incremental" : "deepseek", policy);
  settings.forecaster = kForecasters[rng.below(kForecasters.size())];
  settings.rule.interval = 3 + rng.below(30);
  settings.mode.buffers = 1 + rng.below(3);
  settings.mode.plan = Seconds(0.01 * rng.uniform());
  settings.mode.background_share = 0.1 + 0.8 * rng.uniform();
  settings.mode.handshake_unchanged = rng.below(3) == 0;
  settings.dispatch.rule = static_cast<DispatchRule>(rng.below(4));
  settings.dispatch.replica_bias = rng.below(3) == 0 ? 0.4 : 0.0;
  if (rng.below(2) == 0) settings.rule.min_gain_over_cost = rng.uniform();
  return settings;
}

}  // namespace

TEST_CASE("no run loses a token, a byte, a second or the count of an epoch") {
  const auto seed = static_cast<std::uint64_t>(GENERATE(range(0, 60)));
  INFO("seed " << seed);
  Rng rng = Rng::stream(20805, seed);
  const World world = any_world(rng);
  const LaneSettings settings = any_settings(rng);
  INFO("mode " << to_string(settings.mode) << ", forecaster " << settings.forecaster);
  Lane lane(settings, world.deployment, world.initial);
  Lane still({.name = "static", .dispatch = settings.dispatch}, world.deployment, world.initial);
  Bookkeeper books;
  lane.observe_with(&books);
  double pairs = 0;
  LoadMatrix load(world.initial.layers(), world.initial.experts());
  for (int step = 0; step < 120; ++step) {
    if (step % 40 == 0) {
      for (double& tokens : load.items()) tokens = 10.0 * rng.below(60);
      load(LayerId(0), ExpertId(rng.below(6))) += 900;
    }
    for (const double tokens : load.items()) pairs += tokens;
    lane.serve(load);
    still.serve(load);
  }
  const LaneResult result = lane.result();
  REQUIRE(result.steps == 120);
  REQUIRE(result.tokens == Approx(pairs / 2 / static_cast<double>(load.rows())).epsilon(1e-9));
  REQUIRE(result.step_times.sum().count() == Approx(books.clock.count()).epsilon(1e-9));
  REQUIRE(result.step_times.largest() >= result.step_times.quantile(0.99));
  REQUIRE(result.exposed >= books.stalls - Seconds(1e-9));

  BytesByLink bytes{};
  std::map<LayerId, std::size_t> epochs;
  std::size_t transfers = 0;
  Seconds exposed;
  for (const RearrangementRecord& record : result.rearrangements) {
    bytes += record.bytes;
    transfers += record.transfers;
    exposed += record.exposed;
  }
  REQUIRE(bytes == result.bytes);
  REQUIRE(exposed.count() == Approx(result.exposed.count()).epsilon(1e-9).margin(1e-12));
  REQUIRE((bytes[1] + bytes[2] + bytes[3]).count() ==
          static_cast<std::int64_t>(transfers) * 1'000'000);
  if (settings.mode.kind == ModeKind::kTrickle) return;
  // A layer is committed at most once by each rearrangement, and every commit belongs to one.
  std::size_t commits = 0;
  for (const auto& [layer, count] : books.commits) {
    REQUIRE(count <= result.decisions.rearranged);
    commits += count;
  }
  const bool under_way =
      !result.rearrangements.empty() && !result.rearrangements.back().finished_step;
  if (!settings.mode.handshake_unchanged && !under_way) REQUIRE(commits == result.layers_moved);
}

TEST_CASE("whatever fails, what is left holds every expert and serves every token") {
  const auto seed = static_cast<std::uint64_t>(GENERATE(range(0, 40)));
  INFO("seed " << seed);
  Rng rng = Rng::stream(22179, seed);
  const std::size_t ranks = 3 + rng.below(4);
  PlacementShape shape{1 + rng.below(4), 8, ranks, 0};
  shape.slots_per_rank = std::min<std::size_t>(8, (8 + ranks - 2) / (ranks - 1) + 1);
  const Deployment deployment = small_deployment(ranks, 1 + rng.below(2));
  LaneSettings settings = any_settings(rng);
  settings.reload = BytesPerSecond(1e9);
  const std::uint64_t when = rng.below(60);
  const auto rank = RankId(rng.below(static_cast<std::uint32_t>(ranks)));
  settings.events = {{.kind = WorldEvent::Kind::kFail, .step = when, .rank = rank, .ranks = 0}};
  INFO("mode " << to_string(settings.mode) << ", rank " << rank.value() << " at " << when);
  Lane lane(settings, deployment, random_placement(shape, rng));
  Bookkeeper books;
  lane.observe_with(&books);
  for (int step = 0; step < 80; ++step) {
    LoadMatrix load(shape.layers, shape.experts);
    for (double& tokens : load.items()) tokens = rng.below(500);
    lane.serve(load);
  }
  REQUIRE(lane.result().events.at(0).ranks_serving == ranks - 1);
  for (const LayerId layer : all_ids<LayerId>(shape.layers)) {
    REQUIRE(lane.placement().uncovered(layer).empty());
    for (const ExpertId expert : lane.placement().rank_slots(layer, rank)) {
      REQUIRE(expert.is_none());
    }
  }
}
