// SPDX-License-Identifier: Apache-2.0
// What every policy of ours promises, on thousands of random instances.
#include <cstdint>

#include "moeshift/plan/registry.hpp"

#include "tests/property/plan/instances.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/plan/problems.hpp"

namespace moeshift {
namespace {

NoProgress quiet;

using test::check_plan;
using test::Instance;
using test::random_instance;

void check_policy(const char* name, bool needs_old, std::uint64_t first_seed, int instances) {
  const auto planner = make_planner(name);
  int planned = 0;
  for (std::uint64_t seed = first_seed; planned < instances; ++seed) {
    Instance instance = random_instance(seed);
    if (needs_old && instance.old == nullptr) continue;
    INFO("policy " << name << ", seed " << seed);
    check_plan(instance.problem, planner->plan(instance.problem, Threads{1}, quiet));
    ++planned;
  }
}

TEST_CASE("balanced plans are valid whatever the instance") {
  check_policy("balanced", false, 1, 4000);
}

TEST_CASE("incremental plans are valid whatever the instance") {
  check_policy("incremental", true, 100000, 4000);
}

TEST_CASE("robust plans are valid whatever the instance") {
  check_policy("robust", false, 200000, 4000);
}

TEST_CASE("hierarchical plans are valid whatever the instance") {
  check_policy("hierarchical", false, 300000, 4000);
}

TEST_CASE("EPLB's answer bounds ours: no fresh plan is worse by more than the tolerance") {
  PolicyOptions global;
  global.hierarchy = EplbMode::kGlobal;
  const auto eplb = make_planner("deepseek", global);
  const auto balanced = make_planner("balanced");
  for (std::uint64_t seed = 400000; seed < 404000; ++seed) {
    Instance instance = random_instance(seed);
    instance.problem.old = nullptr;
    instance.problem.inactive.clear();
    const PlanResult theirs = eplb->plan(instance.problem, Threads{1}, quiet);
    if (theirs.layers[0].duplicates > 0) continue;  // two replicas on a rank weigh double
    const PlanResult ours = balanced->plan(instance.problem, Threads{1}, quiet);
    INFO("seed " << seed << ", " << instance.problem.experts() << " experts, "
                 << instance.problem.topology.ranks() << " ranks x "
                 << instance.problem.slots_per_rank());
    REQUIRE(ours.layers[0].peak <= theirs.layers[0].peak * (1 + 1.1e-3) + 1e-6);
  }
}

TEST_CASE("plans are the same on one thread and on four") {
  for (const char* name : {"balanced", "hierarchical", "robust", "incremental", "deepseek"}) {
    PlanProblem problem = test::problem_of({{1}}, 1, 1);
    problem.load = test::lognormal_load(16, 48, 1.0, 11);
    problem.samples = {test::lognormal_load(16, 48, 1.0, 12),
                       test::lognormal_load(16, 48, 1.0, 13)};
    problem.topology = Topology(8, 2);
    problem.slots = 64;
    problem.expert_groups = 4;
    const Placement old = make_planner("contiguous")->plan(problem, Threads{1}, quiet).placement;
    problem.old = &old;
    INFO(name);
    const auto planner = make_planner(name);
    CHECK(planner->plan(problem, Threads{1}, quiet).placement ==
          planner->plan(problem, Threads{4}, quiet).placement);
  }
}

}  // namespace
}  // namespace moeshift
