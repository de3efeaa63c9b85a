// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/together/layer_score.hpp"

#include <numeric>
#include <utility>

namespace moeshift {

LayerScore::LayerScore(const PlanProblem& problem, const NetworkGoal& goal, std::size_t top_k,
                       const LayerTogether& together, bool with_tokens)
    : problem_(problem), goal_(goal), active_(active_ranks(problem)), routes_{top_k, {together}} {
  const bool needs_tokens = goal.dispatch.rule == DispatchRule::kVisited;
  if (!with_tokens && !needs_tokens) routes_.layers.front().sample = RouteSample{top_k, {}, {}, {}};
}

Placement LayerScore::placement_of(std::span<const ExpertId> slots) const {
  const std::size_t per_rank = problem_.slots_per_rank();
  IdMatrix<LayerId, SlotId, ExpertId> all(1, problem_.slots, ExpertId::none());
  for (std::size_t i = 0; i < slots.size(); ++i) {
    all(LayerId(0), SlotId(active_[i / per_rank].index() * per_rank + i % per_rank)) = slots[i];
  }
  return {problem_.experts(), problem_.topology.ranks(), std::move(all)};
}

DispatchOptions LayerScore::options() const {
  DispatchOptions options = goal_.dispatch;
  options.routes = &routes_;
  options.silent = problem_.inactive;
  const bool by_chance = options.rule == DispatchRule::kRandom || options.rule == DispatchRule::kLp;
  if (by_chance) options.rule = DispatchRule::kEven;
  return options;
}

std::vector<double> LayerScore::rank_loads(std::span<const double> load,
                                           std::span<const ExpertId> slots) const {
  const LayerDispatch shares =
      dispatch_shares(placement_of(slots), LayerId(0), problem_.topology, options(), load);
  const std::size_t per_rank = problem_.slots_per_rank();
  std::vector<double> loads;
  double sum = 0;
  for (const RankId rank : active_) {
    double own = 0;
    for (std::size_t i = 0; i < per_rank; ++i) {
      const SlotShare& share = shares[rank.index() * per_rank + i];
      own += load[share.expert] * share.total();
    }
    loads.push_back(own);
    sum += own;
  }
  for (double& own : loads) own *= sum > 0 ? static_cast<double>(loads.size()) / sum : 0;
  return loads;
}

NetworkCost LayerScore::of(std::span<const double> load, std::span<const ExpertId> slots) const {
  const Placement placement = placement_of(slots);
  const DispatchOptions rule = options();
  const LayerId only(0);
  const LayerCopies copies = copies_under(placement, only, problem_.topology, rule);
  NetworkCost cost{copies.by_rank, copies.by_node, {}};
  if (!goal_.serving) return cost;
  std::vector<double> step(load.begin(), load.end());
  const double total = std::accumulate(step.begin(), step.end(), 0.0);
  if (goal_.pairs_per_step > 0 && total > 0) {
    for (double& pairs : step) pairs *= goal_.pairs_per_step / total;
  }
  const LayerDispatch shares =
      dispatch_shares(placement, only, problem_.topology, rule, step, copies);
  cost.seconds = goal_.serving->layer_time(step, shares).total;
  return cost;
}

}  // namespace moeshift
