// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/fresh/balanced.hpp"

#include <algorithm>
#include <numeric>

#include "moeshift/plan/fresh/rank_packing.hpp"
#include "moeshift/plan/search/coverage.hpp"
#include "moeshift/plan/search/rank_speed.hpp"

namespace moeshift {

namespace {

bool all_distinct(std::span<const ExpertId> slots, std::size_t slots_per_rank) {
  std::vector<std::uint32_t> experts;
  for (const ExpertId expert : slots) experts.push_back(expert.value());
  return distinct(experts, slots_per_rank);
}

/// The bound of positive_load() holds for the load itself, less what a rank got on top.
double bound_for_load(const LayerProblem& problem, double bound) {
  const double total = std::accumulate(problem.load.begin(), problem.load.end(), 0.0);
  if (total <= 0) return 0;
  const double trace = 1e-9 * total / static_cast<double>(problem.experts());
  const double on_tokens =
      bound * (1 - 1e-12) - trace * static_cast<double>(problem.slots_per_rank);
  return bound_on_times(problem.speed, total / static_cast<double>(problem.ranks()), on_tokens);
}

}  // namespace

LayerPlan BalancedPlanner::plan_layer(const LayerProblem& problem) const {
  check_distinct_feasible(problem);
  const std::vector<double> load = positive_load(problem.load);
  FreshPlan fresh = plan_fresh(load, problem.ranks(), problem.slots_per_rank, effort_,
                               problem.seed ^ problem.layer.value());
  fresh.moves_tried += cover_and_balance(problem, load, fresh.experts);
  fresh.moves_tried += balance_times(problem, load, effort_.tolerance, fresh.experts);
  LayerPlan plan;
  for (const std::uint32_t e : fresh.experts) plan.slots.emplace_back(e);
  plan.moves_tried = fresh.moves_tried;
  plan.lower_bound = bound_for_load(problem, fresh.lower_bound);
  plan.bounded = plan.lower_bound > 0;
  if (problem.speed.empty()) plan.doubled_peak = fresh.doubled_peak;
  if (problem.can_keep() && all_distinct(problem.kept_slots(), problem.slots_per_rank) &&
      peak_of(problem, problem.kept_slots()) <= peak_of(problem, plan.slots) * (1 + min_gain_)) {
    plan.slots = problem.kept_slots();
    plan.keep = true;
    return plan;
  }
  relabel(problem, links_, exchangeable_ranks(problem), plan.slots);
  return plan;
}

LayerPlan BalancedPlanner::plan_layer_hastily(const LayerProblem& problem) const {
  if (problem.can_keep()) return LayeredPlanner::plan_layer_hastily(problem);
  LayerPlan plan = BalancedPlanner(least_effort(), min_gain_, links_).plan_layer(problem);
  plan.hasty = true;
  return plan;
}

}  // namespace moeshift
