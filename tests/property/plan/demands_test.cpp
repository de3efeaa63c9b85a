// SPDX-License-Identifier: Apache-2.0
// What is asked of plans, on random instances: coverage, slots that differ, worlds that change.
#include <algorithm>
#include <string>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/plan/registry.hpp"

#include "tests/property/plan/instances.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/plan/problems.hpp"

namespace moeshift {
namespace {

NoProgress quiet;

/// What fails as one: the number of a rank, or of its node.
std::size_t domain_of(const PlanProblem& problem, RankId rank, bool by_node) {
  return by_node ? problem.topology.node_of(rank).index() : rank.index();
}

/// Domains (ranks or nodes) that hold the expert with the fewest.
std::size_t least_spread(const PlanProblem& problem, const Placement& placement, bool by_node) {
  std::size_t least = placement.ranks();
  const auto slots_of = placement.logical_to_physical(LayerId(0));
  for (const ExpertId expert : all_ids<ExpertId>(placement.experts())) {
    std::vector<bool> holds(placement.ranks(), false);
    for (const SlotId slot : slots_of[expert.index()]) {
      holds[domain_of(problem, placement.rank_of(slot), by_node)] = true;
    }
    least = std::min<std::size_t>(
        least, static_cast<std::size_t>(std::count(holds.begin(), holds.end(), true)));
  }
  return least;
}

/// Gale and Ryser: coverage is possible exactly when enough domains hold enough places.
bool can_survive(const PlanProblem& problem, std::size_t losses, bool by_node) {
  std::vector<std::size_t> slots(problem.topology.ranks(), 0);
  for (const RankId rank : all_ids<RankId>(problem.topology.ranks())) {
    const bool inactive =
        std::find(problem.inactive.begin(), problem.inactive.end(), rank) != problem.inactive.end();
    if (!inactive) slots[domain_of(problem, rank, by_node)] += problem.slots_per_rank();
  }
  std::size_t domains = 0;
  std::size_t places = 0;
  for (const std::size_t count : slots) {
    domains += count > 0 ? 1 : 0;
    places += std::min(count, problem.experts());
  }
  return domains > losses && places >= (losses + 1) * problem.experts();
}

void check_survival(const char* name, std::uint64_t first_seed, int instances) {
  int covered = 0;
  for (std::uint64_t seed = first_seed; covered < instances; ++seed) {
    Rng rng(seed);
    test::Instance instance = test::random_instance(seed, 2);
    if (std::string(name) == "incremental" && instance.old == nullptr) continue;
    const std::size_t losses = 1 + rng.below(2);
    const bool by_node = rng.below(2) == 0;
    const auto planner =
        make_planner(name, PolicyOptions{.survive = {.losses = losses, .by_node = by_node}});
    INFO("policy " << name << ", seed " << seed << ", losses " << losses << ", by node "
                   << by_node);
    if (!can_survive(instance.problem, losses, by_node)) {
      CHECK_THROWS_AS(planner->plan(instance.problem, Threads{1}, quiet), InfeasibleError);
      continue;
    }
    const PlanResult result = planner->plan(instance.problem, Threads{1}, quiet);
    test::check_plan(instance.problem, result);
    REQUIRE(least_spread(instance.problem, result.placement, by_node) > losses);
    ++covered;
  }
}

TEST_CASE("balanced, hierarchical, incremental and robust plans survive what they must") {
  check_survival("balanced", 1, 400);
  check_survival("hierarchical", 10000, 400);
  check_survival("incremental", 20000, 400);
  check_survival("robust", 30000, 400);
}

TEST_CASE("every policy plans for, or clearly refuses, an old world of another size") {
  for (const PolicyEntry& policy : policies()) {
    for (std::uint64_t seed = 1; seed <= 150; ++seed) {
      test::Instance instance = test::random_instance(seed);
      if (instance.old == nullptr) continue;
      INFO("policy " << policy.name << ", seed " << seed);
      try {
        const PlanResult result =
            make_planner(policy.name)->plan(instance.problem, Threads{1}, quiet);
        REQUIRE(result.placement.uncovered(LayerId(0)).empty());
        REQUIRE(result.placement.slots() == instance.problem.slots);
        for (const RankId rank : instance.problem.inactive) {
          const auto slots = result.placement.rank_slots(LayerId(0), rank);
          REQUIRE(std::all_of(slots.begin(), slots.end(), [](auto e) { return e.is_none(); }));
        }
      } catch (const InputError&) {
        REQUIRE(policy.name == "static");  // which has nothing to keep then
      } catch (const InfeasibleError& error) {
        FAIL(error.what());
      }
    }
  }
}

TEST_CASE("a budget of slots is kept, and every layer is whole, whatever the instance") {
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    Rng rng(seed);
    test::Instance instance = test::random_instance(seed);
    PlanProblem& problem = instance.problem;
    const std::size_t active = problem.topology.ranks() - problem.inactive.size();
    const std::size_t least = (problem.experts() + active - 1) / active * active;
    const std::size_t budget = least + rng.below(static_cast<std::uint32_t>(problem.slots + 1));
    const auto planner = make_planner("balanced", PolicyOptions{.slots_budget = budget});
    INFO("seed " << seed);
    const PlanResult result = planner->plan(problem, Threads{1}, quiet);
    const auto slots = result.placement.layer(LayerId(0));
    const auto filled =
        std::count_if(slots.begin(), slots.end(), [](ExpertId e) { return !e.is_none(); });
    REQUIRE(static_cast<std::size_t>(filled) <= budget);
    REQUIRE(result.placement.uncovered(LayerId(0)).empty());
    REQUIRE(result.placement.duplicates(LayerId(0)) == 0);
  }
}

TEST_CASE("for any objective the busiest rank costs no more than under a plan for tokens") {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    Rng rng(seed);
    const test::Instance instance = test::random_instance(seed);
    const Objective objective{.per_token = rng.uniform(),
                              .per_active = 10 * rng.uniform(),
                              .top_k = 1,
                              .tokens_per_step = 1.0 + rng.below(200)};
    const auto peak = [&](const PolicyOptions& options) {
      const PlanResult result =
          make_planner("balanced", options)->plan(instance.problem, Threads{1}, quiet);
      test::check_plan(instance.problem, result);
      const RankLoads costs = rank_costs(instance.problem.load, result.placement, objective);
      const auto row = costs.row(LayerId(0));
      return *std::max_element(row.begin(), row.end());
    };
    INFO("seed " << seed);
    REQUIRE(peak(PolicyOptions{.objective = objective}) <= peak({}) * (1 + 1e-9));
  }
}

}  // namespace
}  // namespace moeshift
