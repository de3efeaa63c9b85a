// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/layered_planner.hpp"

#include <algorithm>
#include <atomic>
#include <utility>

#include "moeshift/core/error.hpp"
#include "moeshift/cost/balance.hpp"
#include "moeshift/plan/lower_bound.hpp"

namespace moeshift {
namespace {

constexpr double kWorthSaying = 1e-3;  ///< share by which doubled replicas must be better

/// Slots that hold something.
std::size_t filled_slots(const Placement& placement, LayerId layer) {
  const std::span<const ExpertId> slots = placement.layer(layer);
  return static_cast<std::size_t>(
      std::count_if(slots.begin(), slots.end(), [](ExpertId e) { return !e.is_none(); }));
}

LayerVerdict judge(const PlanProblem& problem, const Placement& placement, LayerId layer,
                   std::span<const double> ranks, std::span<const double> speed, std::size_t active,
                   bool bounded) {
  LayerVerdict verdict;
  verdict.peak = *std::max_element(ranks.begin(), ranks.end());
  const double mean = layer_total(problem.load, layer) / static_cast<double>(active);
  verdict.imbalance = mean > 0 ? verdict.peak / mean : 1;
  if (!bounded) {
    const double bound =
        lower_bound(problem.load.row(layer), active, active * problem.slots_per_rank());
    verdict.lower_bound = bound_on_times(speed, mean, bound);
  }
  verdict.duplicates = placement.duplicates(layer);
  return verdict;
}

/// Nothing was recorded for this layer in this window: no policy knows anything better than what
/// is there.
bool is_idle(const PlanProblem& problem, LayerId layer) {
  return layer_total(problem.load, layer) <= 0 &&
         std::all_of(problem.samples.begin(), problem.samples.end(),
                     [&](const LoadMatrix& sample) { return layer_total(sample, layer) <= 0; });
}

/// The old slots of an idle layer, where the old placement has the same shape, leaves the inactive
/// ranks empty and holds every expert; else nothing.
std::vector<ExpertId> idle_slots(const PlanProblem& problem, std::span<const RankId> active,
                                 LayerId layer) {
  const Placement* old = problem.old;
  if (old == nullptr || problem.survive.losses > 0 || old->ranks() != problem.topology.ranks() ||
      old->slots() != problem.slots || !old->uncovered(layer).empty() || !is_idle(problem, layer)) {
    return {};
  }
  std::vector<ExpertId> slots;
  for (const RankId rank : active) {
    const auto held = old->rank_slots(layer, rank);
    slots.insert(slots.end(), held.begin(), held.end());
  }
  const auto filled =
      std::count_if(slots.begin(), slots.end(), [](ExpertId expert) { return !expert.is_none(); });
  const bool all = static_cast<std::size_t>(filled) == filled_slots(*old, layer);
  return all ? slots : std::vector<ExpertId>();
}

}  // namespace

PlanResult assemble(const PlanProblem& problem, std::vector<LayerPlan> layers, Threads threads) {
  MOESHIFT_CHECK(layers.size() == problem.layers());
  const std::vector<RankId> active = active_ranks(problem);
  const std::size_t per_rank = problem.slots_per_rank();
  for (const LayerId layer : problem.load.row_ids()) {
    std::vector<ExpertId> kept = idle_slots(problem, active, layer);
    if (!kept.empty()) layers[layer.index()] = LayerPlan{.slots = std::move(kept), .keep = true};
  }
  IdMatrix<LayerId, SlotId, ExpertId> slots(problem.layers(), problem.slots, ExpertId::none());
  for (const LayerId layer : slots.row_ids()) {
    const std::vector<ExpertId>& planned = layers[layer.index()].slots;
    MOESHIFT_CHECK(planned.size() == active.size() * per_rank);
    for (std::size_t i = 0; i < planned.size(); ++i) {
      slots(layer, SlotId(active[i / per_rank].index() * per_rank + i % per_rank)) = planned[i];
    }
  }
  PlanResult result{Placement(problem.experts(), problem.topology.ranks(), std::move(slots)), {}};
  result.layers.resize(problem.layers());
  const std::vector<double> speed = active_speeds(problem);
  const RankLoads loads = active_times(problem, rank_loads(problem.load, result.placement));
  parallel_for(problem.layers(), threads, [&](std::size_t i) {
    const LayerId layer(i);
    result.layers[i] = judge(problem, result.placement, layer, loads.row(layer), speed,
                             active.size(), layers[i].bounded);
    LayerVerdict& verdict = result.layers[i];
    verdict.keep = layers[i].keep;
    verdict.hasty = layers[i].hasty;
    const bool doubling_helps = layers[i].doubled_peak < verdict.peak * (1 - kWorthSaying);
    verdict.doubled_peak = doubling_helps ? layers[i].doubled_peak : 0;
    verdict.lower_bound =
        std::max(verdict.lower_bound, std::min(layers[i].lower_bound, verdict.peak));
    verdict.gap = gap_of(verdict.peak, verdict.lower_bound);
  });
  for (const LayerPlan& layer : layers) {
    result.moves_tried += layer.moves_tried;
    for (MoveReason reason : layer.reasons) {
      reason.rank = active[reason.rank.index()];
      result.reasons.push_back(reason);
    }
  }
  return result;
}

PlanResult combine(const PlanProblem& problem, std::span<const PlanResult> plans,
                   std::span<const std::size_t> chosen, Threads threads) {
  std::vector<LayerPlan> layers(problem.layers());
  const std::vector<RankId> active = active_ranks(problem);
  for (const LayerId layer : problem.load.row_ids()) {
    const PlanResult& plan = plans[chosen[layer.index()]];
    LayerPlan& mine = layers[layer.index()];
    for (const RankId rank : active) {
      const auto held = plan.placement.rank_slots(layer, rank);
      mine.slots.insert(mine.slots.end(), held.begin(), held.end());
    }
    mine.keep = plan.layers[layer.index()].keep;
    mine.hasty = plan.layers[layer.index()].hasty;
  }
  PlanResult result = assemble(problem, std::move(layers), threads);
  for (const PlanResult& plan : plans) result.moves_tried += plan.moves_tried;
  for (const LayerId layer : problem.load.row_ids()) {
    for (const MoveReason& reason : plans[chosen[layer.index()]].reasons) {
      if (reason.layer == layer) result.reasons.push_back(reason);
    }
  }
  return result;
}

void tighten_bounds(const PlanProblem& problem, Threads threads, PlanResult& result) {
  const std::size_t active = active_ranks(problem).size();
  const std::vector<double> speed = active_speeds(problem);
  const double fastest = speed.empty() ? 1 : *std::max_element(speed.begin(), speed.end());
  parallel_for(problem.layers(), threads, [&](std::size_t i) {
    LayerVerdict& verdict = result.layers[i];
    if (verdict.gap <= 0) return;
    const LayerId layer(i);
    const double bound =
        tight_lower_bound(problem.load.row(layer), active, filled_slots(result.placement, layer),
                          verdict.peak * fastest);
    const double mean = layer_total(problem.load, layer) / static_cast<double>(active);
    verdict.lower_bound =
        std::min(std::max(verdict.lower_bound, bound_on_times(speed, mean, bound)), verdict.peak);
    verdict.gap = gap_of(verdict.peak, verdict.lower_bound);
  });
}

PlanResult LayeredPlanner::plan(const PlanProblem& problem, Threads threads,
                                Progress& progress) const {
  const std::vector<LayerProblem> layers = layers_of(problem, &progress);
  std::vector<LayerPlan> plans(layers.size());
  std::atomic<std::uint64_t> done = 0;
  parallel_for(layers.size(), threads, [&](std::size_t i) {
    plans[i] = progress.interrupted() ? plan_layer_hastily(layers[i]) : plan_layer(layers[i]);
    plans[i].hasty |= layers[i].stopped();
    progress.update("plan layers", ++done, layers.size());
  });
  return assemble(problem, std::move(plans), threads);
}

LayerPlan LayeredPlanner::plan_layer_hastily(const LayerProblem& problem) const {
  LayerPlan plan = problem.can_keep() ? LayerPlan{.slots = problem.kept_slots(), .keep = true}
                                      : plan_layer(problem);
  plan.hasty = true;
  return plan;
}

}  // namespace moeshift
