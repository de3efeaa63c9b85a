// SPDX-License-Identifier: Apache-2.0
// Ranks that are not alike: policies of ours balance times.
#include "moeshift/cost/rank_speed.hpp"

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "moeshift/core/error.hpp"
#include "moeshift/plan/layered_planner.hpp"
#include "moeshift/plan/registry.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/plan/problems.hpp"

namespace moeshift {
namespace {

NoProgress quiet;

PlanProblem with_one_slow_rank(std::size_t layers, double speed, std::size_t nodes = 4) {
  const LoadMatrix load = test::lognormal_load(layers, 256, 0.6, 11);
  PlanProblem problem{.load = load, .samples = {}, .topology = Topology(32, nodes), .slots = 288};
  problem.rank_speed.assign(32, 1.0);
  problem.rank_speed[5] = speed;
  return problem;
}

double worst_time_over_mean(const PlanProblem& problem, const Placement& placement) {
  const RankLoads times = rank_times(rank_loads(problem.load, placement), problem.rank_speed);
  double worst = 0;
  for (const LayerId layer : times.row_ids()) {
    const auto row = times.row(layer);
    const double mean = layer_total(problem.load, layer) / static_cast<double>(row.size());
    worst = std::max(worst, *std::max_element(row.begin(), row.end()) / mean);
  }
  return worst;
}

TEST_CASE("with one rank 10 % slower every policy of ours is within 1 % of the best time") {
  // The best that any division of the tokens does is the mean time, 1 in these units.
  PlanProblem problem = with_one_slow_rank(6, 0.9);
  for (const char* policy : {"balanced", "robust", "hierarchical"}) {
    INFO(policy);
    const PlanResult result = make_planner(policy)->plan(problem, Threads{1}, quiet);
    CHECK(worst_time_over_mean(problem, result.placement) <= 1.01);
  }
  const Placement old = make_planner("deepseek")->plan(problem, Threads{1}, quiet).placement;
  CHECK(worst_time_over_mean(problem, old) > 1.09);
  problem.old = &old;
  for (const char* policy : {"balanced", "incremental", "robust"}) {
    INFO(policy << " from EPLB's plan");
    const PlanResult result = make_planner(policy)->plan(problem, Threads{1}, quiet);
    // `robust` stops where a transfer no longer buys its price.
    const double within = std::string(policy) == "robust" ? 1.02 : 1.011;
    CHECK(worst_time_over_mean(problem, result.placement) <= within);
  }
}

TEST_CASE("verdicts are of times: peak, imbalance and bound") {
  // 4 experts of 12 tokens on ranks of speeds 1 and 2: the fast one takes two thirds of 36.
  PlanProblem problem = test::problem_of({{12, 12, 12}}, 2, 4);
  problem.rank_speed = {1, 2};
  PlanResult result = make_planner("balanced")->plan(problem, Threads{1}, quiet);
  tighten_bounds(problem, Threads{1}, result);
  const LayerVerdict& verdict = result.layers[0];
  // Relative speeds 2/3 and 4/3. Of {x + y, x + z} with x doubled each rank has 18 tokens, and the
  // slow one takes 18 / (2/3) = 27.
  CHECK(verdict.peak == Approx(27));
  CHECK(verdict.imbalance == Approx(1.5));
  CHECK(verdict.lower_bound <= verdict.peak);
  CHECK(verdict.lower_bound >= Approx(18));
}

TEST_CASE("ranks of one speed are planned as if none had been given") {
  PlanProblem problem = with_one_slow_rank(2, 1.0);
  const auto policy = make_planner("balanced");
  const PlanResult alike = policy->plan(problem, Threads{1}, quiet);
  problem.rank_speed.clear();
  const PlanResult none = policy->plan(problem, Threads{1}, quiet);
  for (const LayerId layer : problem.load.row_ids()) {
    CHECK(std::ranges::equal(alike.placement.layer(layer), none.placement.layer(layer)));
  }
}

TEST_CASE("relabelling against an old placement never gives a slow rank what balances a fast one") {
  PlanProblem problem = with_one_slow_rank(3, 0.5, 1);
  const Placement old = make_planner("contiguous")->plan(problem, Threads{1}, quiet).placement;
  problem.old = &old;
  const PlanResult result = make_planner("balanced")->plan(problem, Threads{1}, quiet);
  CHECK(worst_time_over_mean(problem, result.placement) <= 1.02);
}

TEST_CASE("speeds that are none, or not one per rank, are refused") {
  PlanProblem problem = with_one_slow_rank(1, 0);
  const auto policy = make_planner("balanced");
  CHECK_THROWS_AS(policy->plan(problem, Threads{1}, quiet), InputError);
  problem.rank_speed = {1, 1};
  CHECK_THROWS_AS(policy->plan(problem, Threads{1}, quiet), InputError);
  problem.rank_speed.assign(32, std::numeric_limits<double>::infinity());
  CHECK_THROWS_AS(policy->plan(problem, Threads{1}, quiet), InputError);
}

TEST_CASE("times are loads over speeds in units of their mean") {
  RankLoads loads(1, 3);
  loads(LayerId(0), RankId(0)) = 10;
  loads(LayerId(0), RankId(1)) = 10;
  loads(LayerId(0), RankId(2)) = 20;
  const std::vector<double> speed{1, 2, 3};
  const RankLoads times = rank_times(loads, speed);
  CHECK(times(LayerId(0), RankId(0)) == Approx(20));
  CHECK(times(LayerId(0), RankId(1)) == Approx(10));
  CHECK(times(LayerId(0), RankId(2)) == Approx(20 / 1.5));
}

}  // namespace
}  // namespace moeshift
