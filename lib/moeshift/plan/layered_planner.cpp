// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/layered_planner.hpp"

#include <algorithm>
#include <atomic>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/cost/balance.hpp"
#include "moeshift/plan/lower_bound.hpp"
#include "moeshift/plan/survive.hpp"

namespace moeshift {
namespace {

std::vector<RankId> active_ranks(const PlanProblem& problem) {
  std::vector<RankId> active;
  for (const RankId rank : all_ids<RankId>(problem.topology.ranks())) {
    const auto& inactive = problem.inactive;
    if (std::find(inactive.begin(), inactive.end(), rank) == inactive.end()) active.push_back(rank);
  }
  return active;
}

void check_shape(const PlanProblem& problem) {
  const std::size_t ranks = problem.topology.ranks();
  if (problem.layers() == 0 || problem.experts() == 0) {
    throw InputError("", "expected a load of at least one layer and one expert");
  }
  if (problem.slots == 0 || problem.slots % ranks != 0) {
    const std::size_t fewer = problem.slots / ranks * ranks;
    const std::string or_fewer = fewer > 0 ? fmt::format("{} or ", fewer) : "";
    throw InputError("", fmt::format("{} slots do not divide evenly over {} ranks; {}{} would",
                                     problem.slots, ranks, or_fewer, fewer + ranks));
  }
  for (const RankId rank : problem.inactive) {
    if (rank.index() < ranks) continue;
    throw InputError(
        "", fmt::format("inactive rank {} is not among the {} ranks", rank.value(), ranks));
  }
  const std::size_t active = active_ranks(problem).size();
  if (active * problem.slots_per_rank() >= problem.experts()) return;
  throw InputError("", fmt::format("{} slots on {} active ranks cannot hold {} experts",
                                   active * problem.slots_per_rank(), active, problem.experts()));
}

void check_groups(const PlanProblem& problem) {
  if (problem.expert_groups == 0 || problem.expert_groups > problem.experts()) {
    throw InputError("", fmt::format("expected 1 .. {} expert groups, not {}", problem.experts(),
                                     problem.expert_groups));
  }
  for (const LoadMatrix& sample : problem.samples) {
    MOESHIFT_CHECK(sample.rows() == problem.layers() && sample.columns() == problem.experts());
  }
}

void check_old(const PlanProblem& problem) {
  const Placement* old = problem.old;
  if (old == nullptr) return;
  if (old->layers() == problem.layers() && old->experts() == problem.experts()) return;
  throw InputError("",
                   fmt::format("the old placement has {} layers x {} experts, the load {} x {}",
                               old->layers(), old->experts(), problem.layers(), problem.experts()));
}

/// Slots that hold something.
std::size_t filled(const Placement& placement, LayerId layer) {
  const std::span<const ExpertId> slots = placement.layer(layer);
  return static_cast<std::size_t>(
      std::count_if(slots.begin(), slots.end(), [](ExpertId e) { return !e.is_none(); }));
}

/// What a rank held, without the empty slots past `most`.
std::span<const ExpertId> without_empty_end(std::span<const ExpertId> held, std::size_t most) {
  if (held.size() <= most) return held;
  const auto rest = held.subspan(most);
  const bool empty = std::all_of(rest.begin(), rest.end(), [](ExpertId e) { return e.is_none(); });
  return empty ? held.first(most) : held;
}

LayerVerdict judge(const PlanProblem& problem, const Placement& placement, LayerId layer,
                   std::span<const double> ranks, std::size_t active, bool bounded) {
  LayerVerdict verdict;
  verdict.peak = *std::max_element(ranks.begin(), ranks.end());
  const double mean = layer_total(problem.load, layer) / static_cast<double>(active);
  verdict.imbalance = mean > 0 ? verdict.peak / mean : 1;
  if (!bounded) {
    verdict.lower_bound =
        lower_bound(problem.load.row(layer), active, active * problem.slots_per_rank());
  }
  verdict.duplicates = placement.duplicates(layer);
  return verdict;
}

}  // namespace

bool LayerProblem::can_keep() const {
  if (held.empty()) return false;
  std::vector<bool> seen(experts(), false);
  for (const auto& rank : held) {
    if (rank.size() != slots_per_rank) return false;
    for (const ExpertId expert : rank) {
      if (expert.is_none()) return false;
      seen[expert.index()] = true;
    }
  }
  return std::find(seen.begin(), seen.end(), false) == seen.end() &&
         (survive.losses == 0 || survives(*this, kept_slots()));
}

bool LayerProblem::even_nodes() const {
  if (ranks() % nodes != 0) return false;
  for (std::size_t rank = 0; rank < ranks(); ++rank) {
    if (node_of[rank] != rank / (ranks() / nodes)) return false;
  }
  return true;
}

std::vector<ExpertId> LayerProblem::kept_slots() const {
  std::vector<ExpertId> kept;
  kept.reserve(slots());
  for (const auto& rank : held) kept.insert(kept.end(), rank.begin(), rank.end());
  MOESHIFT_CHECK(kept.size() == slots());
  return kept;
}

std::vector<LayerProblem> layers_of(const PlanProblem& problem) {
  check_shape(problem);
  check_groups(problem);
  check_old(problem);
  const std::vector<RankId> active = active_ranks(problem);
  std::vector<std::uint32_t> node_of;
  std::uint32_t nodes = 0;
  for (std::size_t i = 0; i < active.size(); ++i) {
    const bool first_of_node =
        i > 0 && problem.topology.node_of(active[i]) != problem.topology.node_of(active[i - 1]);
    nodes += first_of_node ? 1U : 0U;
    node_of.push_back(nodes);
  }
  std::vector<LayerProblem> layers;
  for (const LayerId id : problem.load.row_ids()) {
    LayerProblem layer;
    layer.load = problem.load.row(id);
    for (const LoadMatrix& sample : problem.samples) layer.samples.push_back(sample.row(id));
    layer.node_of = node_of;
    layer.nodes = nodes + 1;
    layer.slots_per_rank = problem.slots_per_rank();
    layer.expert_groups = problem.expert_groups;
    layer.layer = id;
    layer.seed = problem.seed;
    layer.survive = problem.survive;
    if (problem.old != nullptr) {
      for (const RankId rank : active) {
        const bool known = rank.index() < problem.old->ranks();
        layer.held.push_back(
            known ? without_empty_end(problem.old->rank_slots(id, rank), problem.slots_per_rank())
                  : std::span<const ExpertId>());
      }
    }
    layers.push_back(std::move(layer));
  }
  check_survivable(layers.front());
  return layers;
}

PlanResult assemble(const PlanProblem& problem, std::vector<LayerPlan> layers, Threads threads) {
  MOESHIFT_CHECK(layers.size() == problem.layers());
  const std::vector<RankId> active = active_ranks(problem);
  const std::size_t per_rank = problem.slots_per_rank();
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
  const RankLoads loads = rank_loads(problem.load, result.placement);
  parallel_for(problem.layers(), threads, [&](std::size_t i) {
    const LayerId layer(i);
    result.layers[i] =
        judge(problem, result.placement, layer, loads.row(layer), active.size(), layers[i].bounded);
    LayerVerdict& verdict = result.layers[i];
    verdict.keep = layers[i].keep;
    verdict.hasty = layers[i].hasty;
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
  parallel_for(problem.layers(), threads, [&](std::size_t i) {
    LayerVerdict& verdict = result.layers[i];
    if (verdict.gap <= 0) return;
    const double bound = tight_lower_bound(problem.load.row(LayerId(i)), active,
                                           filled(result.placement, LayerId(i)), verdict.peak);
    verdict.lower_bound = std::max(verdict.lower_bound, bound);
    verdict.gap = gap_of(verdict.peak, verdict.lower_bound);
  });
}

PlanResult LayeredPlanner::plan(const PlanProblem& problem, Threads threads,
                                Progress& progress) const {
  const std::vector<LayerProblem> layers = layers_of(problem);
  std::vector<LayerPlan> plans(layers.size());
  std::atomic<std::uint64_t> done = 0;
  parallel_for(layers.size(), threads, [&](std::size_t i) {
    plans[i] = progress.interrupted() ? plan_layer_hastily(layers[i]) : plan_layer(layers[i]);
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
