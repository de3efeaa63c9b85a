// SPDX-License-Identifier: Apache-2.0
// Peers against the cases that their owners test.
#include <algorithm>
#include <numeric>

#include "moeshift/plan/peers/trtllm.hpp"
#include "moeshift/plan/registry.hpp"
#include "moeshift/plan/relabel.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/plan/problems.hpp"

namespace moeshift {
namespace {

NoProgress quiet;

std::vector<std::uint32_t> counts(const std::vector<double>& load, std::size_t slots) {
  return trtllm_counts(load, slots);
}

TEST_CASE("trtllm replicates as its unit tests say") {
  using Counts = std::vector<std::uint32_t>;
  CHECK(counts({1, 2, 3, 4}, 4) == Counts{1, 1, 1, 1});
  CHECK(counts({0, 0, 0, 0}, 6) == Counts{2, 2, 1, 1});
  CHECK(counts({1, 4, 2, 1}, 8) == Counts{1, 4, 2, 1});
  CHECK(counts({10, 5, 2, 15, 8}, 9) == Counts{2, 1, 1, 3, 2});
  CHECK(counts({0, 10, 0}, 4) == Counts{1, 2, 1});
}

/// The difference between the heaviest and the lightest rank after trtllm's placement.
double spread(const std::vector<double>& load, std::vector<std::uint32_t> replicas,
              std::size_t ranks) {
  const std::vector<std::uint32_t> slots = trtllm_placement(load, replicas, ranks);
  std::vector<double> loads(ranks, 0);
  for (std::size_t s = 0; s < slots.size(); ++s) {
    loads[s / (slots.size() / ranks)] += load[slots[s]] / replicas[slots[s]];
  }
  const auto [least, most] = std::minmax_element(loads.begin(), loads.end());
  return *most - *least;
}

TEST_CASE("trtllm places within the spread that its unit tests allow") {
  CHECK(spread({1, 3, 2, 1}, {1, 2, 2, 1}, 2) <= 0.51);
  CHECK(spread({2, 3, 4, 5, 6, 7}, {1, 1, 1, 1, 1, 1}, 2) <= 1.0);
  CHECK(spread({1, 100, 10}, {1, 2, 1}, 2) <= 9.0);
}

/// What keep_slots_in_place makes of `fresh`, given `old`.
std::vector<int> preserved(std::vector<std::vector<int>> old, const std::vector<int>& fresh,
                           std::size_t experts) {
  std::vector<std::vector<ExpertId>> held;
  for (const auto& rank : old) held.emplace_back(rank.begin(), rank.end());
  LayerProblem problem;
  const std::vector<double> load(experts, 1);
  problem.load = load;
  problem.node_of.assign(held.size(), 0);
  problem.slots_per_rank = held.front().size();
  for (const auto& rank : held) problem.held.emplace_back(rank);
  std::vector<ExpertId> slots(fresh.begin(), fresh.end());
  keep_slots_in_place(problem, slots);
  std::vector<int> out;
  for (const ExpertId expert : slots) out.push_back(static_cast<int>(expert.value()));
  return out;
}

TEST_CASE("vllm keeps an expert that stays on its rank in its first old slot") {
  CHECK(preserved({{0, 1, 2, 3}, {4, 5, 6, 7}}, {1, 5, 0, 4, 6, 2, 7, 3}, 8) ==
        std::vector<int>{0, 1, 5, 4, 2, 3, 6, 7});
  CHECK(preserved({{0, 1, 0, 2, 3}, {4, 5, 6, 1, 2}}, {0, 5, 4, 0, 1, 6, 2, 3, 2, 1}, 7) ==
        std::vector<int>{0, 1, 0, 5, 4, 3, 2, 6, 1, 2});
  // All ranks held the same: what stays on the last one keeps its slots although it was rotated.
  CHECK(preserved({{0, 1, 2, 3}, {0, 1, 2, 3}, {0, 1, 2, 3}}, {0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 0},
                  4) == std::vector<int>{0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3});
}

TEST_CASE("sglang_vec without windows replicates like greedy") {
  const PlanProblem problem = test::problem_of({{9, 7, 4, 1}}, 2, 6);
  const Placement plan = make_planner("sglang_vec")->plan(problem, Threads{1}, quiet).placement;
  CHECK(plan.replica_counts(LayerId(0)) == std::vector<std::uint32_t>{2, 2, 1, 1});
}

TEST_CASE("relabelling never costs more and keeps balance exactly") {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    PlanProblem before = test::problem_of({{1}}, 1, 1);
    before.load = test::lognormal_load(1, 20, 1, seed);
    before.topology = Topology(8, 4);
    before.slots = 32;
    const Placement old = make_planner("balanced")->plan(before, Threads{1}, quiet).placement;
    PlanProblem after = before;
    after.load = test::lognormal_load(1, 20, 1, seed + 1000);
    const Placement fresh = make_planner("balanced")->plan(after, Threads{1}, quiet).placement;
    after.old = &old;
    const std::vector<LayerProblem> layers = layers_of(after);
    const std::span<const ExpertId> row = fresh.layer(LayerId(0));
    const std::vector<float> prices = holding_prices(layers[0], LinkPrices{});
    for (const Exchangeable scope : {Exchangeable::kRanks, Exchangeable::kWithinAndNodes}) {
      std::vector<ExpertId> slots(row.begin(), row.end());
      relabel(layers[0], LinkPrices{}, scope, slots);
      INFO("seed " << seed);
      CHECK(priced_cost(layers[0], prices, slots) <= priced_cost(layers[0], prices, row));
      std::vector<std::vector<ExpertId>> sets[2];
      for (std::size_t g = 0; g < 8; ++g) {
        sets[0].emplace_back(row.begin() + static_cast<long>(g * 4),
                             row.begin() + static_cast<long>(g * 4 + 4));
        sets[1].emplace_back(slots.begin() + static_cast<long>(g * 4),
                             slots.begin() + static_cast<long>(g * 4 + 4));
      }
      for (auto& contents : sets) {
        for (auto& rank : contents) std::sort(rank.begin(), rank.end());
        std::sort(contents.begin(), contents.end());
      }
      CHECK(sets[0] == sets[1]);
    }
  }
}

}  // namespace
}  // namespace moeshift
