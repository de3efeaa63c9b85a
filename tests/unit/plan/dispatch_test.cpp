// SPDX-License-Identifier: Apache-2.0
#include "moeshift/cost/dispatch.hpp"

#include <algorithm>
#include <numeric>

#include "moeshift/core/error.hpp"
#include "moeshift/core/rng.hpp"
#include "moeshift/plan/registry.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/plan/problems.hpp"

namespace moeshift {
namespace {

double peak_of(const RankLoads& loads) {
  const auto row = loads.row(LayerId(0));
  return *std::max_element(row.begin(), row.end());
}

TEST_CASE("the best split takes load off a rank whose other expert has no second holder") {
  const Placement placement = test::placement_of({{0, 1, 0, 2}}, 3, 2);
  const LoadMatrix load = test::load_of({{10, 8, 2}});
  CHECK(peak_of(rank_loads(load, placement, Topology(2, 1), Dispatch::kEven)) == 13);
  CHECK(peak_of(rank_loads(load, placement, Topology(2, 1), Dispatch::kLp)) == Approx(10));
}

TEST_CASE("the best split equals the bound over all sets of ranks") {
  // Hall's condition: the optimum is the heaviest load confined to a set of ranks, per rank.
  NoProgress quiet;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    PlanProblem problem = test::problem_of({{1}}, 1, 1);
    problem.load = test::lognormal_load(1, 10, 1.2, seed);
    problem.topology = Topology(6, 1);
    problem.slots = 18;
    const Placement placement = make_planner("snake")->plan(problem, Threads{1}, quiet).placement;
    std::vector<unsigned> mask(10, 0);
    for (const SlotId slot : all_ids<SlotId>(18)) {
      mask[placement(LayerId(0), slot).index()] |= 1U << placement.rank_of(slot).value();
    }
    double bound = 0;
    for (unsigned set = 1; set < 64; ++set) {
      double confined = 0;
      for (const ExpertId e : problem.load.column_ids()) {
        if ((mask[e.index()] & ~set) == 0) confined += problem.load(LayerId(0), e);
      }
      bound = std::max(bound, confined / static_cast<double>(__builtin_popcount(set)));
    }
    INFO("seed " << seed);
    const RankLoads loads = rank_loads(problem.load, placement, problem.topology, Dispatch::kLp);
    CHECK(peak_of(loads) == Approx(bound));
    CHECK(peak_of(loads) <=
          peak_of(rank_loads(problem.load, placement, problem.topology, Dispatch::kEven)) + 1e-6);
  }
}

TEST_CASE("nearest dispatch serves a source from its own rank and then from its node") {
  const Placement placement = test::placement_of({{0, 1, 0, 2}}, 3, 4);
  const LoadMatrix load = test::load_of({{4, 0, 8}});
  const RankLoads loads = rank_loads(load, placement, Topology(4, 2), Dispatch::kNearest);
  CHECK(loads(LayerId(0), RankId(0)) == 2);
  CHECK(loads(LayerId(0), RankId(2)) == 2);
  CHECK(loads(LayerId(0), RankId(3)) == 8);
}

TEST_CASE("every dispatch rule serves every token once") {
  const Placement placement = test::placement_of({{0, 1, 0, 2, 1, 0}}, 3, 3);
  const LoadMatrix load = test::load_of({{1000, 70, 5}});
  for (const char* name : {"even", "nearest", "random", "lp"}) {
    const RankLoads loads = rank_loads(load, placement, Topology(3, 1), dispatch_named(name), 7);
    const auto row = loads.row(LayerId(0));
    INFO(name);
    CHECK(std::accumulate(row.begin(), row.end(), 0.0) == Approx(1075));
  }
  CHECK_THROWS_AS(dispatch_named("evn"), InputError);
}

}  // namespace
}  // namespace moeshift
