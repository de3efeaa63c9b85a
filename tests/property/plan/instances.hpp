// SPDX-License-Identifier: Apache-2.0
// Random planning problems of one layer, and what every plan of ours must be.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <vector>

#include "moeshift/cost/balance.hpp"
#include "moeshift/plan/registry.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/plan/problems.hpp"

namespace moeshift::test {

/// Loads of one layer of a random kind: smooth, skewed, tied, idle, one hot expert.
inline std::vector<double> random_load(Rng& rng, std::size_t experts) {
  std::vector<double> load(experts);
  const std::uint32_t kind = rng.below(6);
  for (std::size_t e = 0; e < experts; ++e) {
    switch (kind) {
      case 0:
        load[e] = std::round(100 * std::exp(rng.normal()));
        break;
      case 1:
        load[e] = rng.below(4);
        break;
      case 2:
        load[e] = 7;
        break;
      case 3:
        load[e] = 0;
        break;
      case 4:
        load[e] = e == 0 ? 1e6 : 1;
        break;
      default:
        load[e] = std::round(1000.0 / (1 + static_cast<double>(e)));
        break;
    }
  }
  return load;
}

struct Instance {
  PlanProblem problem;
  std::unique_ptr<Placement> old;
};

/// @param redundancy slots per expert that are at least to spare.
inline Instance random_instance(std::uint64_t seed, std::size_t redundancy = 1) {
  Rng rng(seed);
  const std::size_t ranks = 1 + rng.below(9);
  const std::size_t k = 1 + rng.below(6);
  const std::size_t slots = ranks * k;
  const std::size_t least = std::max<std::size_t>(k, slots / 4);
  const std::size_t most = std::max(least, slots / redundancy);
  const std::size_t experts = least + rng.below(static_cast<std::uint32_t>(most - least + 1));
  const std::size_t nodes = 1 + rng.below(static_cast<std::uint32_t>(ranks));
  Instance instance{
      PlanProblem{.load = load_of({random_load(rng, experts)}),
                  .topology = Topology(ranks, nodes),
                  .slots = slots,
                  .expert_groups =
                      1 + rng.below(static_cast<std::uint32_t>(std::min<std::size_t>(experts, 8))),
                  .seed = seed},
      nullptr};
  // Groups are of equal size, or a policy that goes by them refuses.
  while (experts % instance.problem.expert_groups != 0) --instance.problem.expert_groups;
  for (std::uint32_t i = rng.below(3); i > 0; --i) {
    instance.problem.samples.push_back(load_of({random_load(rng, experts)}));
  }
  if (rng.below(2) == 0) {
    const std::size_t old_ranks = rng.below(2) == 0 ? ranks : 1 + rng.below(9);
    const std::size_t old_k = old_ranks == ranks ? k : (experts + old_ranks - 1) / old_ranks;
    PlanProblem before = problem_of({random_load(rng, experts)}, old_ranks, old_ranks * old_k);
    NoProgress quiet;
    instance.old = std::make_unique<Placement>(
        make_planner("deepseek")->plan(before, Threads{1}, quiet).placement);
    instance.problem.old = instance.old.get();
  }
  const std::size_t spare_ranks = ranks - (experts + k - 1) / k;
  for (std::size_t i = 0; i < spare_ranks && rng.below(4) == 0; ++i) {
    instance.problem.inactive.push_back(RankId(i));
  }
  return instance;
}

/// A layer for which nothing was recorded stays as it was, with what its old planner left there.
inline bool stays_for_want_of_load(const PlanProblem& problem, const PlanResult& result) {
  const auto idle = [](const LoadMatrix& load) {
    const auto row = load.row(LayerId(0));
    return std::all_of(row.begin(), row.end(), [](double tokens) { return tokens == 0; });
  };
  if (problem.old == nullptr || !idle(problem.load)) return false;
  if (!std::all_of(problem.samples.begin(), problem.samples.end(), idle)) return false;
  const auto kept = problem.old->layer(LayerId(0));
  const auto now = result.placement.layer(LayerId(0));
  return std::equal(kept.begin(), kept.end(), now.begin(), now.end());
}

inline void check_plan(const PlanProblem& problem, const PlanResult& result) {
  const LayerId layer(0);
  const Placement& placement = result.placement;
  REQUIRE(placement.slots() == problem.slots);
  REQUIRE(placement.uncovered(layer).empty());
  if (!stays_for_want_of_load(problem, result)) REQUIRE(placement.duplicates(layer) == 0);
  for (const RankId rank : all_ids<RankId>(placement.ranks())) {
    const bool inactive =
        std::find(problem.inactive.begin(), problem.inactive.end(), rank) != problem.inactive.end();
    for (const ExpertId expert : placement.rank_slots(layer, rank)) {
      REQUIRE(expert.is_none() == inactive);
    }
  }
  const RankLoads loads = rank_loads(problem.load, placement);
  const auto row = loads.row(layer);
  const double peak = *std::max_element(row.begin(), row.end());
  REQUIRE(result.layers[0].peak == Approx(peak));
  REQUIRE(result.layers[0].lower_bound <= peak * (1 + 1e-9));
}

}  // namespace moeshift::test
