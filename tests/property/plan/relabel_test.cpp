// SPDX-License-Identifier: Apache-2.0
// Naming ranks anew never costs and never changes what a plan is worth.
#include "moeshift/plan/relabel.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "moeshift/core/rng.hpp"
#include "moeshift/plan/fresh/apportion.hpp"
#include "moeshift/plan/fresh/fresh_plan.hpp"
#include "moeshift/plan/fresh/pair_counts.hpp"
#include "moeshift/plan/fresh/rank_packing.hpp"
#include "moeshift/plan/layer_problem.hpp"
#include "moeshift/plan/warm/pair_chains.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/plan/problems.hpp"

namespace moeshift {
namespace {

std::vector<double> skewed_load(Rng& rng, std::size_t experts) {
  std::vector<double> load(experts);
  for (double& tokens : load) tokens = std::round(100 * std::exp(rng.normal()));
  return load;
}

std::vector<ExpertId> plan_of(std::span<const double> load, std::size_t ranks, std::size_t k,
                              std::uint64_t seed) {
  std::vector<ExpertId> slots;
  const Effort quick{.steps = 5, .kicks = 0, .pair_iterations = 20};
  for (const std::uint32_t e : plan_fresh(positive_load(load), ranks, k, quick, seed).experts) {
    slots.emplace_back(e);
  }
  return slots;
}

/// What every rank carries, lightest first.
std::vector<double> sorted_rank_loads(const LayerProblem& problem,
                                      std::span<const ExpertId> slots) {
  std::vector<double> counts(problem.experts(), 0);
  for (const ExpertId e : slots) counts[e.index()] += 1;
  std::vector<double> loads(problem.ranks(), 0);
  for (std::size_t rank = 0; rank < problem.ranks(); ++rank) {
    std::vector<std::size_t> held;
    for (std::size_t i = 0; i < problem.slots_per_rank; ++i) {
      held.push_back(slots[rank * problem.slots_per_rank + i].index());
    }
    std::sort(held.begin(), held.end());  // the same sum, whatever the order of the slots
    for (const std::size_t e : held) loads[rank] += problem.load[e] / counts[e];
  }
  std::sort(loads.begin(), loads.end());
  return loads;
}

TEST_CASE("relabelling never increases priced bytes and keeps the balance exactly") {
  for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
    Rng rng(seed);
    const std::size_t ranks = 1 + rng.below(10);
    const std::size_t k = 1 + rng.below(5);
    const std::size_t experts =
        std::max(k, ranks * k - rng.below(static_cast<std::uint32_t>((ranks - 1) * k + 1)));
    PlanProblem problem = test::problem_of({skewed_load(rng, experts)}, ranks, ranks * k,
                                           1 + rng.below(static_cast<std::uint32_t>(ranks)));
    const std::vector<ExpertId> before = plan_of(skewed_load(rng, experts), ranks, k, seed);
    IdMatrix<LayerId, SlotId, ExpertId> matrix(1, before.size());
    std::copy(before.begin(), before.end(), matrix.items().begin());
    const Placement old(experts, ranks, std::move(matrix));
    problem.old = &old;
    const LayerProblem layer = layers_of(problem).front();
    const LinkPrices prices{.intra_node = 1, .inter_node = 1 + 10 * rng.uniform()};
    const std::vector<float> holding = holding_prices(layer, prices);
    const std::vector<ExpertId> fresh = plan_of(layer.load, ranks, k, seed);
    const std::vector<double> loads = sorted_rank_loads(layer, fresh);
    const double cost = priced_cost(layer, holding, fresh);
    INFO("seed " << seed << ", " << ranks << " ranks x " << k << ", " << experts << " experts");
    double by_nodes = cost;
    for (const Exchangeable scope : {Exchangeable::kWithinAndNodes, Exchangeable::kRanks}) {
      std::vector<ExpertId> renamed = fresh;
      relabel(layer, prices, scope, renamed);
      const double after = priced_cost(layer, holding, renamed);
      REQUIRE(after <= by_nodes + 1e-6 * (1 + cost));
      REQUIRE(sorted_rank_loads(layer, renamed) == loads);
      by_nodes = after;  // all ranks exchangeable: never worse than within nodes
    }
  }
}

TEST_CASE("pairs re-made from an old placement hold every expert, none twice on a rank") {
  for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
    Rng rng(seed);
    const std::size_t ranks = 1 + rng.below(24);
    const std::size_t experts =
        std::max<std::size_t>(2, 2 * ranks - rng.below(static_cast<std::uint32_t>(ranks + 1)));
    std::vector<std::uint32_t> old;
    for (const ExpertId e : plan_of(skewed_load(rng, experts), ranks, 2, seed)) {
      old.push_back(e.value());
    }
    const std::vector<double> load = positive_load(skewed_load(rng, experts));
    const std::vector<std::uint32_t> now =
        rearrange_pairs(load, old, {.iterations = 60, .seed = seed});
    INFO("seed " << seed << ", " << ranks << " ranks, " << experts << " experts");
    REQUIRE(now.size() == old.size());
    REQUIRE(distinct(now, 2));
    std::vector<bool> held(experts, false);
    for (const std::uint32_t e : now) held[e] = true;
    REQUIRE(std::find(held.begin(), held.end(), false) == held.end());
  }
}

/// 1 when the slot's expert is new on its rank of two slots.
int arrived(const std::vector<std::uint32_t>& old, const std::vector<std::uint32_t>& now,
            std::size_t slot) {
  return now[slot] != old[slot] && now[slot] != old[slot ^ 1U] ? 1 : 0;
}

TEST_CASE("pairs re-made from an old placement have no exchange left that saves a transfer") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    INFO("seed " << seed);
    Rng rng(seed);
    std::vector<double> load(40);
    for (double& tokens : load) tokens = std::exp(0.5 * rng.normal());
    std::vector<std::uint32_t> old;
    for (const ExpertId e : plan_of(load, 24, 2, seed)) old.push_back(e.value());
    for (double& tokens : load) tokens *= std::exp(0.2 * rng.normal());
    std::vector<std::uint32_t> now = rearrange_pairs(load, old, {.seed = seed});
    const double peak = RankPacking(load, 24, now).peak();
    for (std::size_t a = 0; a < now.size(); ++a) {
      for (std::size_t b = 0; b < a; ++b) {
        if (a / 2 == b / 2 || now[a] == now[b ^ 1U] || now[b] == now[a ^ 1U]) continue;
        const int before = arrived(old, now, a) + arrived(old, now, b);
        std::swap(now[a], now[b]);
        const bool saves = arrived(old, now, a) + arrived(old, now, b) < before;
        const bool higher = !saves || RankPacking(load, 24, now).peak() > peak * (1 + 1e-12);
        std::swap(now[a], now[b]);
        REQUIRE(higher);
      }
    }
  }
}

TEST_CASE("pairs re-made after drift move few replicas and are as balanced as EPLB's") {
  constexpr std::size_t kRanks = 72;
  constexpr std::size_t kExperts = 128;
  constexpr std::uint64_t kLayers = 20;
  double moved = 0;
  double excess = 0;
  for (std::uint64_t seed = 1; seed <= kLayers; ++seed) {
    Rng rng(seed);
    std::vector<double> load(kExperts);
    for (double& tokens : load) tokens = std::exp(0.5 * rng.normal());
    std::vector<std::uint32_t> old;
    for (const ExpertId e : plan_of(load, kRanks, 2, seed)) old.push_back(e.value());
    for (double& tokens : load) tokens *= std::exp(0.1 * rng.normal());
    const std::vector<std::uint32_t> now =
        rearrange_pairs(load, old, {.price = 0.0024, .seed = seed});
    for (std::size_t slot = 0; slot < old.size(); ++slot) moved += arrived(old, now, slot);
    const std::vector<std::uint32_t> eplb =
        fold_pairs(load, adams_counts(load, 2 * kRanks, kRanks));
    excess += RankPacking(load, kRanks, now).peak() / RankPacking(load, kRanks, eplb).peak() - 1;
  }
  INFO(moved / kLayers << " moved, " << excess / kLayers << " above EPLB's peak");
  CHECK(moved / kLayers < 24);
  CHECK(excess < 0);
}

}  // namespace
}  // namespace moeshift
