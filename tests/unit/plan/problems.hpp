// SPDX-License-Identifier: Apache-2.0
// Planning problems for tests.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <vector>

#include "moeshift/core/rng.hpp"
#include "moeshift/cost/balance.hpp"
#include "moeshift/plan/planner.hpp"

namespace moeshift::test {

inline LoadMatrix load_of(const std::vector<std::vector<double>>& rows) {
  LoadMatrix load(rows.size(), rows.front().size());
  for (const LayerId layer : load.row_ids()) {
    for (const ExpertId expert : load.column_ids()) {
      load(layer, expert) = rows[layer.index()][expert.index()];
    }
  }
  return load;
}

inline PlanProblem problem_of(const std::vector<std::vector<double>>& rows, std::size_t ranks,
                              std::size_t slots, std::size_t nodes = 1, std::size_t groups = 1) {
  return PlanProblem{.load = load_of(rows),
                     .samples = {},
                     .topology = Topology(ranks, nodes),
                     .slots = slots,
                     .expert_groups = groups};
}

inline Placement placement_of(const std::vector<std::vector<int>>& rows, std::size_t experts,
                              std::size_t ranks) {
  IdMatrix<LayerId, SlotId, ExpertId> slots(rows.size(), rows.front().size());
  for (const LayerId layer : slots.row_ids()) {
    for (const SlotId slot : slots.column_ids()) {
      const int expert = rows[layer.index()][slot.index()];
      slots(layer, slot) = expert < 0 ? ExpertId::none() : ExpertId(expert);
    }
  }
  return Placement(experts, ranks, std::move(slots));
}

/// Log-normal loads, rounded to tokens.
inline LoadMatrix lognormal_load(std::size_t layers, std::size_t experts, double sigma,
                                 std::uint64_t seed) {
  LoadMatrix load(layers, experts);
  Rng rng(seed);
  for (double& tokens : load.items()) {
    tokens = std::round(1000.0 * std::exp(sigma * rng.normal()));
  }
  return load;
}

inline double balancedness(const LoadMatrix& load, const Placement& placement) {
  std::vector<double> totals;
  for (const LayerId layer : load.row_ids()) totals.push_back(layer_total(load, layer));
  return balance_of(rank_loads(load, placement), placement.ranks(), totals).balancedness;
}

/// Slots of a rank that hold an expert which the rank did not hold before.
inline std::size_t moved_between(const Placement& before, const Placement& after) {
  std::size_t moved = 0;
  for (const LayerId layer : all_ids<LayerId>(before.layers())) {
    for (const RankId rank : all_ids<RankId>(before.ranks())) {
      const auto held = before.rank_slots(layer, rank);
      for (const ExpertId e : after.rank_slots(layer, rank)) {
        moved += std::find(held.begin(), held.end(), e) == held.end() ? 1U : 0U;
      }
    }
  }
  return moved;
}

}  // namespace moeshift::test
