// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/registry.hpp"

#include "moeshift/core/error.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/plan/problems.hpp"

namespace moeshift {
namespace {

NoProgress quiet;

TEST_CASE("an unknown policy is an input error that names the nearest one") {
  CHECK_THROWS_WITH(
      make_planner("deepsek"),
      Catch::Matchers::StartsWith("unknown policy 'deepsek'; did you mean 'deepseek'?"));
  CHECK_THROWS_AS(make_planner(""), InputError);
}

TEST_CASE("every policy refuses slots that do not divide over the ranks") {
  for (const PolicyEntry& policy : policies()) {
    INFO(policy.name);
    const PlanProblem problem = test::problem_of({{1, 2, 3, 4}}, 3, 7);
    CHECK_THROWS_AS(make_planner(policy.name)->plan(problem, Threads{1}, quiet), InputError);
  }
}

TEST_CASE("every policy refuses fewer slots than experts") {
  for (const PolicyEntry& policy : policies()) {
    INFO(policy.name);
    const PlanProblem problem = test::problem_of({{1, 2, 3, 4}}, 1, 3);
    CHECK_THROWS_AS(make_planner(policy.name)->plan(problem, Threads{1}, quiet), InputError);
  }
}

TEST_CASE("static starts from vLLM's map and then keeps what it is given") {
  PlanProblem problem = test::problem_of({{5, 1, 9}}, 2, 4);
  const Placement initial = make_planner("static")->plan(problem, Threads{1}, quiet).placement;
  CHECK(initial == test::placement_of({{0, 1, 2, 0}}, 3, 2));
  const Placement old = test::placement_of({{2, 1, 0, 2}}, 3, 2);
  problem.old = &old;
  const PlanResult kept = make_planner("static")->plan(problem, Threads{1}, quiet);
  CHECK(kept.placement == old);
  CHECK(kept.layers[0].keep);
}

TEST_CASE("static refuses an old placement that lost an expert") {
  PlanProblem problem = test::problem_of({{5, 1, 9}}, 2, 4);
  const Placement old = test::placement_of({{0, 1, 0, -1}}, 3, 2);
  problem.old = &old;
  CHECK_THROWS_AS(make_planner("static")->plan(problem, Threads{1}, quiet), InputError);
}

TEST_CASE("snake packs alternate rows from left to right and from right to left") {
  const PlanProblem problem = test::problem_of({{6, 5, 4, 3, 2, 1}}, 3, 6);
  const Placement plan = make_planner("snake")->plan(problem, Threads{1}, quiet).placement;
  CHECK(plan == test::placement_of({{0, 5, 1, 4, 2, 3}}, 6, 3));
}

}  // namespace
}  // namespace moeshift
