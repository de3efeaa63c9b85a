// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/asked/slots_budget.hpp"

#include <optional>
#include <vector>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/plan/layered_planner.hpp"
#include "moeshift/plan/warm/spread_budget.hpp"

namespace moeshift {
namespace {

/// All layers with the same slots per rank.
struct Level {
  std::size_t slots_per_rank = 0;
  PlanResult plan;
};

/// Plans at every number of slots per rank, fewest first; what a policy cannot do is left out.
std::vector<Level> plan_levels(const Planner& policy, const PlanProblem& problem,
                               std::size_t active, Threads threads, Progress& progress) {
  std::vector<Level> levels;
  std::optional<InfeasibleError> refusal;
  const std::size_t least = (problem.experts() + active - 1) / active;
  for (std::size_t k = least; k <= problem.slots_per_rank(); ++k) {
    PlanProblem level = problem;
    level.slots = k * problem.topology.ranks();
    try {
      levels.push_back({k, policy.plan(level, threads, progress)});
    } catch (const InfeasibleError& error) {
      refusal = error;
    }
  }
  if (levels.empty() && refusal) throw InfeasibleError(*refusal);
  return levels;
}

/// The level of every layer.
std::vector<std::size_t> share_out(const std::vector<Level>& levels, std::size_t layers,
                                   std::size_t active, std::size_t budget) {
  std::vector<std::vector<TrajectoryPoint>> curves(layers);
  for (const Level& level : levels) {
    for (std::size_t layer = 0; layer < layers; ++layer) {
      curves[layer].push_back(
          {static_cast<double>(level.slots_per_rank * active), level.plan.layers[layer].peak});
    }
  }
  return spread_budget(curves, static_cast<double>(budget));
}

}  // namespace

PlanResult SlotsBudgetPlanner::plan(const PlanProblem& problem, Threads threads,
                                    Progress& progress) const {
  const std::size_t active = layers_of(problem).front().ranks();
  const std::vector<Level> levels = plan_levels(*policy_, problem, active, threads, progress);
  MOESHIFT_CHECK(!levels.empty());
  const std::size_t needed = levels.front().slots_per_rank * active * problem.layers();
  if (budget_ < needed) {
    throw InfeasibleError(fmt::format(
        "a budget of {} slots over {} layers is too small: {} slots per rank on {} ranks "
        "need {}",
        budget_, problem.layers(), levels.front().slots_per_rank, active, needed));
  }
  const auto chosen = share_out(levels, problem.layers(), active, budget_);
  const std::size_t width = problem.slots_per_rank();
  IdMatrix<LayerId, SlotId, ExpertId> slots(problem.layers(), problem.slots, ExpertId::none());
  std::vector<LayerVerdict> verdicts;
  std::vector<MoveReason> reasons;
  std::uint64_t moves_tried = 0;
  for (const Level& level : levels) moves_tried += level.plan.moves_tried;
  for (const LayerId layer : slots.row_ids()) {
    const Level& level = levels[chosen[layer.index()]];
    for (const RankId rank : all_ids<RankId>(problem.topology.ranks())) {
      const auto held = level.plan.placement.rank_slots(layer, rank);
      for (std::size_t i = 0; i < held.size(); ++i) {
        slots(layer, SlotId(rank.index() * width + i)) = held[i];
      }
    }
    verdicts.push_back(level.plan.layers[layer.index()]);
    for (const MoveReason& reason : level.plan.reasons) {
      if (reason.layer == layer) reasons.push_back(reason);
    }
  }
  return {.placement = Placement(problem.experts(), problem.topology.ranks(), std::move(slots)),
          .layers = std::move(verdicts),
          .moves_tried = moves_tried,
          .reasons = std::move(reasons)};
}

}  // namespace moeshift
