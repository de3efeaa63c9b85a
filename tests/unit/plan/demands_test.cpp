// SPDX-License-Identifier: Apache-2.0
// What may be asked of every plan: coverage after losses, slots that differ, other objectives,
// time.
#include <algorithm>
#include <numeric>

#include "moeshift/core/error.hpp"
#include "moeshift/cost/objective.hpp"
#include "moeshift/plan/registry.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/plan/problems.hpp"

namespace moeshift {
namespace {

NoProgress quiet;

/// Interrupted from the start.
class NoTime final : public Progress {
 public:
  void update(std::string_view, std::uint64_t, std::uint64_t) override {}
  [[nodiscard]] bool interrupted() const override { return true; }
};

PlanProblem skewed_layers() {
  PlanProblem problem = test::problem_of({{1}}, 1, 1);
  problem.load = LoadMatrix(3, 16);
  for (const LayerId layer : problem.load.row_ids()) {
    const LoadMatrix row =
        test::lognormal_load(1, 16, 0.2 + 0.8 * layer.value(), 5 + layer.value());
    std::copy(row.items().begin(), row.items().end(), problem.load.row(layer).begin());
  }
  problem.topology = Topology(8, 2);
  problem.slots = 48;
  return problem;
}

TEST_CASE("too few slots to survive are infeasible, and the error says how many would do") {
  const PlanProblem problem = test::problem_of({{9, 7, 4, 1}}, 4, 4, 2);
  const auto planner = make_planner("balanced", PolicyOptions{.survive = survive_rule("1")});
  CHECK_THROWS_WITH(planner->plan(problem, Threads{1}, quiet),
                    test::containing("1 slots per rank cannot hold them, 2 would (8 slots"));
  const auto nodes = make_planner("balanced", PolicyOptions{.survive = survive_rule("nodes:2")});
  CHECK_THROWS_WITH(nodes->plan(problem, Threads{1}, quiet),
                    test::containing("takes 3, there are 2"));
}

TEST_CASE("peers that do not know of losses refuse the wish") {
  CHECK_THROWS_AS(make_planner("deepseek", PolicyOptions{.survive = survive_rule("1")}),
                  InputError);
  CHECK_THROWS_AS(make_planner("balanced", PolicyOptions{.survive = survive_rule("racks:1")}),
                  InputError);
  CHECK_THROWS_AS(make_planner("balanced", PolicyOptions{.survive = survive_rule("-1")}),
                  InputError);
}

TEST_CASE("groups kept hard in a node cannot survive its loss") {
  const PlanProblem problem = test::problem_of({{9, 7, 4, 1}}, 4, 8, 2, 2);
  const auto planner = make_planner(
      "hierarchical", PolicyOptions{.home = home_rule("hard"), .survive = survive_rule("nodes:1")});
  CHECK_THROWS_AS(planner->plan(problem, Threads{1}, quiet), InfeasibleError);
}

TEST_CASE("a budget of slots gives skewed layers more and even ones fewer") {
  const PlanProblem problem = skewed_layers();
  const auto planner = make_planner("balanced", PolicyOptions{.slots_budget = 3 * 24});
  const PlanResult result = planner->plan(problem, Threads{1}, quiet);
  std::vector<std::size_t> filled;
  for (const LayerId layer : all_ids<LayerId>(3)) {
    const auto slots = result.placement.layer(layer);
    filled.push_back(static_cast<std::size_t>(
        std::count_if(slots.begin(), slots.end(), [](ExpertId e) { return !e.is_none(); })));
    CHECK(result.placement.uncovered(layer).empty());
    CHECK(result.placement.duplicates(layer) == 0);
  }
  CHECK(std::accumulate(filled.begin(), filled.end(), std::size_t{0}) <= 3 * 24);
  CHECK(filled[0] <= filled[2]);
  PlanProblem uniform = problem;
  uniform.slots = 24;
  const PlanResult same = make_planner("balanced")->plan(uniform, Threads{1}, quiet);
  double peak = 0;
  double uniform_peak = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    peak += result.layers[i].peak;
    uniform_peak += same.layers[i].peak;
  }
  CHECK(peak <= uniform_peak);
}

TEST_CASE("a plan with slots to spare can be planned from again") {
  PlanProblem problem = skewed_layers();
  const auto planner = make_planner("balanced", PolicyOptions{.slots_budget = 3 * 24});
  const Placement first = planner->plan(problem, Threads{1}, quiet).placement;
  problem.old = &first;
  const PlanResult second = planner->plan(problem, Threads{1}, quiet);
  CHECK(second.placement == first);
  CHECK(std::all_of(second.layers.begin(), second.layers.end(),
                    [](const LayerVerdict& layer) { return layer.keep; }));
}

TEST_CASE("a budget of slots below what the experts need is infeasible") {
  const auto planner = make_planner("balanced", PolicyOptions{.slots_budget = 3 * 16 - 1});
  CHECK_THROWS_AS(planner->plan(skewed_layers(), Threads{1}, quiet), InfeasibleError);
}

TEST_CASE("an objective plans for the experts that a step reads") {
  // Twelve experts that every step reads, four that hardly any does; 24 slots on 8 ranks.
  PlanProblem problem = test::problem_of({{1}}, 1, 1);
  problem.load = LoadMatrix(1, 16, 4.0);
  for (std::size_t e = 0; e < 12; ++e) {
    problem.load(LayerId(0), ExpertId(e)) = 4000.0 + 100.0 * static_cast<double>(e * e);
  }
  problem.topology = Topology(8, 1);
  problem.slots = 24;
  const Objective active{
      .per_token = 0, .per_active = 1, .top_k = 2, .steps = 1, .tokens_per_step = 64};
  const auto peak = [&](const PolicyOptions& options) {
    const PlanResult plan = make_planner("balanced", options)->plan(problem, Threads{1}, quiet);
    CHECK(plan.placement.uncovered(LayerId(0)).empty());
    CHECK(plan.placement.duplicates(LayerId(0)) == 0);
    const RankLoads costs = rank_costs(problem.load, plan.placement, active);
    const auto row = costs.row(LayerId(0));
    return *std::max_element(row.begin(), row.end());
  };
  CHECK(peak(PolicyOptions{.objective = active}) < 0.8 * peak({}));
}

TEST_CASE("out of time a plan is still valid and says which layers are hasty") {
  NoTime no_time;
  for (const char* name : {"balanced", "hierarchical", "robust", "deepseek"}) {
    INFO(name);
    PlanProblem problem = skewed_layers();
    const PlanResult fresh = make_planner(name)->plan(problem, Threads{1}, no_time);
    for (const LayerId layer : all_ids<LayerId>(3)) {
      CHECK(fresh.placement.uncovered(layer).empty());
      CHECK(fresh.layers[layer.index()].hasty);
    }
    problem.old = &fresh.placement;
    const PlanResult kept = make_planner(name)->plan(problem, Threads{1}, no_time);
    CHECK(kept.placement == fresh.placement);
    CHECK(kept.layers[0].keep);
  }
}

}  // namespace
}  // namespace moeshift
