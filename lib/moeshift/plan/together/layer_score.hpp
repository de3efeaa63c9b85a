// SPDX-License-Identifier: Apache-2.0
// What a placement of one layer costs: copies and seconds. Internal to together/.
#pragma once

#include <span>
#include <vector>

#include "moeshift/core/units.hpp"
#include "moeshift/plan/layer_problem.hpp"
#include "moeshift/plan/planner.hpp"
#include "moeshift/plan/together/network_goal.hpp"

namespace moeshift {

/// What is minimised, and what it is made of.
struct NetworkCost {
  double ranks = 0;  ///< copies per token to ranks
  double nodes = 0;  ///< and to nodes
  Seconds seconds;   ///< of the layer in a step, where it is priced

  /// One number to compare by: seconds where they are priced, else copies.
  [[nodiscard]] double value(bool priced) const {
    return priced ? seconds.count() : ranks + (nodes > 1 ? nodes : 0);
  }
};

/// Scores placements of a layer on one set of routes.
class LayerScore {
 public:
  /// @param with_tokens scores on the sample, else by pairs; `visited` always takes the sample.
  LayerScore(const PlanProblem& problem, const NetworkGoal& goal, std::size_t top_k,
             const LayerTogether& together, bool with_tokens);

  /// @param load [experts] that is computed, in any unit. @param slots of the active ranks.
  [[nodiscard]] NetworkCost of(std::span<const double> load, std::span<const ExpertId> slots) const;
  /// Loads of the active ranks as tokens choose replicas, mean 1.
  [[nodiscard]] std::vector<double> rank_loads(std::span<const double> load,
                                               std::span<const ExpertId> slots) const;

 private:
  [[nodiscard]] DispatchOptions options() const;
  [[nodiscard]] Placement placement_of(std::span<const ExpertId> slots) const;

  const PlanProblem& problem_;
  const NetworkGoal& goal_;
  std::vector<RankId> active_;
  KnownRoutes routes_;
};

}  // namespace moeshift
