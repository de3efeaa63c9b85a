// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <fstream>
#include <numeric>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/plan/fresh/eplb_steps.hpp"
#include "moeshift/plan/registry.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/plan/problems.hpp"

namespace moeshift {
namespace {

NoProgress quiet;

TEST_CASE("deepseek equals every recorded answer of deepseek-ai/EPLB") {
  std::ifstream vectors(test::source_path("tests/golden/plan/deepseek_eplb.jsonl"));
  REQUIRE(vectors);
  int count = 0;
  for (std::string line; std::getline(vectors, line); ++count) {
    const auto vector = nlohmann::json::parse(line);
    const PlanProblem problem = test::problem_of(
        vector["weight"].get<std::vector<std::vector<double>>>(), vector["num_gpus"],
        vector["num_replicas"], vector["num_nodes"], vector["num_groups"]);
    const PlanResult result = make_planner("deepseek")->plan(problem, Threads{1}, quiet);
    const Placement expected =
        test::placement_of(vector["phy2log"].get<std::vector<std::vector<int>>>(),
                           problem.experts(), problem.topology.ranks());
    INFO(vector["name"].get<std::string>());
    CHECK(result.placement == expected);
  }
  CHECK(count == 37);
}

TEST_CASE("of experts that share alike the lowest gets the next replica") {
  const std::vector<float> alike(4, 1.0F);
  CHECK(replicate_greedily(alike, 6) == std::vector<std::uint32_t>{0, 1, 2, 3, 0, 1});
  const std::vector<float> hot = {1.0F, 4.0F, 4.0F};
  CHECK(replicate_greedily(hot, 6) == std::vector<std::uint32_t>{0, 1, 2, 1, 2, 1});
}

TEST_CASE("deepseek puts the replicas of the readme example where its readme says") {
  const PlanProblem problem =
      test::problem_of({{90, 132, 40, 61, 104, 165, 39, 4, 73, 56, 183, 86}}, 8, 16, 2, 4);
  const PlanResult result = make_planner("deepseek")->plan(problem, Threads{1}, quiet);
  CHECK(result.placement.replica_counts(LayerId(0)) ==
        std::vector<std::uint32_t>{1, 2, 1, 1, 2, 2, 1, 1, 1, 1, 2, 1});
}

/// Replica counts of the first layer under a policy that must place every expert in every slot.
std::vector<std::uint32_t> counts_by(const std::string& policy, const PlanProblem& problem) {
  const Placement placement = make_planner(policy)->plan(problem, Threads{1}, quiet).placement;
  for (const LayerId layer : all_ids<LayerId>(problem.layers())) {
    const std::vector<std::uint32_t> counts = placement.replica_counts(layer);
    CHECK(*std::min_element(counts.begin(), counts.end()) >= 1);
    CHECK(std::accumulate(counts.begin(), counts.end(), std::size_t{0}) == problem.slots);
  }
  return placement.replica_counts(LayerId(0));
}

// The cases of vllm-project/vllm tests/distributed/test_eplb_algo.py.
TEST_CASE("deepseek and vllm plan the cases that vLLM tests") {
  using Counts = std::vector<std::uint32_t>;
  const std::string policy = GENERATE("deepseek", "vllm");
  INFO(policy);
  const std::vector<double> eight_equal(8, 50);
  CHECK(counts_by(policy, test::problem_of({{10, 20, 30, 40}}, 1, 4)) == Counts(4, 1));
  CHECK(counts_by(policy, test::problem_of({eight_equal}, 4, 8, 2, 2)) == Counts(8, 1));
  const Counts extreme =
      counts_by(policy, test::problem_of({{1000, 1, 1, 1, 1, 1, 1, 1}}, 4, 12, 2, 2));
  CHECK(extreme[0] > extreme[1]);
  const Counts grouped =
      counts_by(policy, test::problem_of({{100, 50, 200, 75, 150, 25, 300, 80}}, 4, 12, 2, 4));
  CHECK(grouped[6] >= 2);
  const std::vector<std::vector<double>> three_layers{
      {10, 20, 30, 40, 50, 60}, {60, 50, 40, 30, 20, 10}, {25, 25, 25, 25, 25, 25}};
  counts_by(policy, test::problem_of(three_layers, 2, 8, 1, 2));
  counts_by(policy, test::problem_of({{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}}, 8,
                                     24, 4, 8));
  const Counts two_ranks = counts_by(
      policy,
      test::problem_of({{200, 150, 100, 50, 25, 12}, {12, 25, 50, 100, 150, 200}}, 2, 10, 1, 3));
  CHECK(two_ranks[0] >= 2);
  counts_by(policy, test::problem_of({eight_equal}, 4, 8, 2, 3));  // three groups on two nodes
  CHECK_THROWS_AS(counts_by(policy, test::problem_of({{1, 2, 3, 4}}, 4, 7)), InputError);
}

TEST_CASE("deepseek falls back to global planning when groups do not divide by nodes") {
  const auto load = std::vector<std::vector<double>>{{9, 1, 4, 7, 3, 8, 2, 6}};
  const PlanProblem uneven = test::problem_of(load, 4, 12, 2, 1);
  const PlanProblem flat = test::problem_of(load, 4, 12, 1, 1);
  const auto planner = make_planner("deepseek");
  CHECK(planner->plan(uneven, Threads{1}, quiet).placement ==
        planner->plan(flat, Threads{1}, quiet).placement);
}

TEST_CASE("deepseek refuses forced hierarchical planning when groups do not divide by nodes") {
  const PlanProblem problem = test::problem_of({{9, 1, 4, 7, 3, 8}}, 4, 8, 2, 3);
  const auto planner =
      make_planner("deepseek", PolicyOptions{.hierarchy = EplbMode::kHierarchical});
  CHECK_THROWS_AS(planner->plan(problem, Threads{1}, quiet), InfeasibleError);
}

TEST_CASE("deepseek reports the replicas that it doubles up on a rank") {
  const PlanProblem problem = test::problem_of({{100, 1}}, 2, 6);
  const PlanResult result = make_planner("deepseek")->plan(problem, Threads{1}, quiet);
  CHECK(result.layers[0].duplicates > 0);
}

TEST_CASE("plans of deepseek do not depend on the number of threads") {
  PlanProblem problem = test::problem_of({{1}}, 1, 1);
  problem.load = test::lognormal_load(12, 64, 0.8, 7);
  problem.topology = Topology(8, 2);
  problem.slots = 80;
  problem.expert_groups = 8;
  const auto planner = make_planner("deepseek");
  CHECK(planner->plan(problem, Threads{1}, quiet).placement ==
        planner->plan(problem, Threads{2}, quiet).placement);
}

}  // namespace
}  // namespace moeshift
