// SPDX-License-Identifier: Apache-2.0
// The policies of vllm-ascend: `swift` and `flashlb`.
#include <algorithm>
#include <cmath>
#include <set>

#include "moeshift/core/error.hpp"
#include "moeshift/plan/registry.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/plan/problems.hpp"

namespace moeshift {
namespace {

NoProgress quiet;

/// What their unit tests plan for: 58 layers, 32 ranks with 9 slots, 256 experts, loads u^10.
struct TenthPower {
  PlanProblem problem = test::problem_of({{1}}, 1, 1);
  Placement old;

  TenthPower() : old(placed()) {
    Rng rng(3);
    problem.load = LoadMatrix(58, 256);
    for (double& tokens : problem.load.items()) tokens = std::pow(rng.uniform(), 10) * 1e4;
    problem.topology = Topology(32, 2);
    problem.slots = 288;
    problem.old = &old;
  }

  /// Eight experts in order on every rank, and one more: the layout that an engine starts with.
  static Placement placed() {
    IdMatrix<LayerId, SlotId, ExpertId> slots(58, 288);
    for (const LayerId layer : slots.row_ids()) {
      for (std::size_t rank = 0; rank < 32; ++rank) {
        for (std::size_t i = 0; i < 8; ++i)
          slots(layer, SlotId(rank * 9 + i)) = ExpertId(rank * 8 + i);
        slots(layer, SlotId(rank * 9 + 8)) = ExpertId((rank * 8 + 8 + layer.index()) % 256);
      }
    }
    return Placement(256, 32, std::move(slots));
  }
};

double mean_imbalance(const PlanResult& result) {
  double sum = 0;
  for (const LayerVerdict& layer : result.layers) sum += layer.imbalance;
  return sum / static_cast<double>(result.layers.size());
}

std::set<std::uint32_t> experts_on(const Placement& placement, LayerId layer, RankId rank) {
  std::set<std::uint32_t> experts;
  for (const ExpertId expert : placement.rank_slots(layer, rank)) experts.insert(expert.value());
  return experts;
}

TEST_CASE("swift and flashlb meet the balance that their owners test") {
  const TenthPower world;
  CHECK(mean_imbalance(make_planner("swift")->plan(world.problem, Threads{2}, quiet)) <= 1.08);
  CHECK(mean_imbalance(make_planner("flashlb")->plan(world.problem, Threads{2}, quiet)) <= 1.1);
}

TEST_CASE("swift gives a replica its exact share") {
  // Its owners' case: 120 tokens in one expert, one and two further replicas, 60 and 40 each.
  for (const std::size_t ranks : {2U, 3U}) {
    const PlanProblem problem = test::problem_of({{120}}, ranks, ranks);
    const PlanResult result = make_planner("swift")->plan(problem, Threads{1}, quiet);
    CHECK(result.layers[0].peak == Approx(120.0 / static_cast<double>(ranks)));
  }
}

TEST_CASE("swift leaves a balanced layer and a plan that gains too little alone") {
  PlanProblem problem = test::problem_of({{5, 5, 5, 5}}, 2, 4);
  const Placement old = test::placement_of({{3, 1, 0, 2}}, 4, 2);
  problem.old = &old;
  CHECK(make_planner("swift")->plan(problem, Threads{1}, quiet).layers[0].keep);
  problem.load = test::load_of({{104, 100, 100, 96}});
  CHECK(make_planner("swift")->plan(problem, Threads{1}, quiet).layers[0].keep);
  problem.load = test::load_of({{100, 1, 1, 100}});
  const Placement both_hot = test::placement_of({{3, 0, 1, 2}}, 4, 2);
  problem.old = &both_hot;
  const PlanResult moved = make_planner("swift")->plan(problem, Threads{1}, quiet);
  CHECK_FALSE(moved.layers[0].keep);
  CHECK(moved.layers[0].peak == Approx(101));
}

TEST_CASE("swift moves few experts, one per pair of ranks unless a slot would stay open") {
  const TenthPower world;
  const PlanResult result = make_planner("swift")->plan(world.problem, Threads{2}, quiet);
  std::size_t moved = 0;
  for (const LayerId layer : all_ids<LayerId>(58)) {
    for (const RankId rank : all_ids<RankId>(32)) {
      const auto before = experts_on(world.old, layer, rank);
      for (const std::uint32_t e : experts_on(result.placement, layer, rank)) {
        moved += before.count(e) == 0 ? 1U : 0U;
      }
    }
    CHECK(result.placement.duplicates(layer) == 0);
  }
  INFO("per layer " << static_cast<double>(moved) / 58);
  CHECK(moved < 58 * 100);  // EPLB moves some 270 of 288
}

TEST_CASE("flashlb beats EPLB on its published example") {
  const PlanProblem problem = test::problem_of({{600, 560, 120, 120, 20, 10, 10, 10}}, 8, 16);
  CHECK(make_planner("deepseek")->plan(problem, Threads{1}, quiet).layers[0].peak == Approx(232));
  CHECK(make_planner("flashlb")->plan(problem, Threads{1}, quiet).layers[0].peak <= 205);
  CHECK(make_planner("balanced")->plan(problem, Threads{1}, quiet).layers[0].peak ==
        Approx(196.6667).epsilon(1e-5));
}

TEST_CASE("flashlb spreads experts that are hot together") {
  // Two pairs of experts, each pair hot in the same windows: the mean cannot tell them apart.
  PlanProblem problem = test::problem_of({{100, 100, 100, 100}}, 2, 4);
  for (int t = 0; t < 8; ++t) {
    const double a = t % 2 == 0 ? 190 : 10;
    problem.samples.push_back(test::load_of({{a, 200 - a, a, 200 - a}}));
  }
  const Placement plan = make_planner("flashlb")->plan(problem, Threads{1}, quiet).placement;
  for (const RankId rank : all_ids<RankId>(2)) {
    const auto experts = experts_on(plan, LayerId(0), rank);
    CHECK((*experts.begin() + *experts.rbegin()) % 2 == 1);
  }
}

TEST_CASE("flashlb keeps a layer that it cannot improve") {
  const PlanProblem fresh = test::problem_of({{60, 30, 20, 10, 5, 5, 5, 5}}, 4, 12);
  const Placement planned = make_planner("flashlb")->plan(fresh, Threads{1}, quiet).placement;
  PlanProblem again = fresh;
  again.old = &planned;
  const PlanResult result = make_planner("flashlb")->plan(again, Threads{1}, quiet);
  CHECK(result.layers[0].keep);
  CHECK(result.placement == planned);
}

TEST_CASE("swift and flashlb refuse more slots on a rank than experts") {
  for (const char* name : {"swift", "flashlb"}) {
    INFO(name);
    CHECK_THROWS_AS(make_planner(name)->plan(test::problem_of({{5, 1}}, 2, 6), Threads{1}, quiet),
                    InfeasibleError);
  }
}

}  // namespace
}  // namespace moeshift
