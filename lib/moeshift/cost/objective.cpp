// SPDX-License-Identifier: Apache-2.0
#include "moeshift/cost/objective.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "moeshift/core/error.hpp"

namespace moeshift {

LayerObjective::LayerObjective(const Objective& objective, std::span<const double> load)
    : objective_(objective), load_(load) {
  MOESHIFT_CHECK(objective.top_k >= 1 && objective.steps > 0);
  const double pairs = std::accumulate(load.begin(), load.end(), 0.0);
  tokens_ = objective.tokens_per_step.value_or(pairs / objective.top_k / objective.steps);
  if (pairs > 0) scale_ = tokens_ * objective.top_k / pairs;
}

double LayerObjective::cost(std::size_t expert, std::uint32_t replicas) const {
  const double pairs = load_[expert] * scale_ / replicas;
  if (pairs <= 0) return 0;
  const double chance = std::min(1.0, pairs / tokens_);
  const double active =
      tokens_ < 1 ? std::min(1.0, pairs) : -std::expm1(tokens_ * std::log1p(-chance));
  return objective_.per_token * pairs + objective_.per_active * active;
}

RankLoads rank_costs(const LoadMatrix& load, const Placement& placement,
                     const Objective& objective) {
  RankLoads costs = rank_loads(load, placement);  // also checks shapes and holders
  for (const LayerId layer : costs.row_ids()) {
    const LayerObjective of_layer(objective, load.row(layer));
    const std::vector<std::uint32_t> counts = placement.replica_counts(layer);
    const std::span<double> ranks = costs.row(layer);
    std::fill(ranks.begin(), ranks.end(), 0.0);
    const std::span<const ExpertId> slots = placement.layer(layer);
    for (std::size_t slot = 0; slot < slots.size(); ++slot) {
      if (slots[slot].is_none()) continue;
      ranks[slot / placement.slots_per_rank()] +=
          of_layer.cost(slots[slot].index(), counts[slots[slot].index()]);
    }
  }
  return costs;
}

}  // namespace moeshift
