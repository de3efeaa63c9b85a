// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdio>

#include "tests/bench/plan_quality/instances.hpp"
#include "tests/bench/plan_quality/parts.hpp"

namespace moeshift::quality {
namespace {

struct Bought {
  double residual = 0;  ///< mean over layers of peak / mean - 1
  double transfers = 0;
};

Bought bought_by(const PlanProblem& problem, double transfers_per_layer) {
  PolicyOptions options;
  options.budget =
      Bytes(static_cast<std::int64_t>(transfers_per_layer * static_cast<double>(problem.layers())));
  options.expert_bytes = Bytes(1);
  const PlanResult plan = plan_by("incremental", options, problem);
  Bought bought;
  for (const LayerVerdict& layer : plan.layers) {
    bought.residual += (layer.imbalance - 1) / static_cast<double>(plan.layers.size());
  }
  bought.transfers = moves_between(*problem.old, plan.placement, problem.topology).all;
  return bought;
}

/// Every layer by itself, with an equal part of the budget.
Bought bought_uniformly(const PlanProblem& problem, double transfers_per_layer) {
  Bought bought;
  const double layers = static_cast<double>(problem.layers());
  for (const LayerId layer : problem.load.row_ids()) {
    PlanProblem one = problem;
    one.load = LoadMatrix(1, problem.experts());
    const auto load = problem.load.row(layer);
    std::copy(load.begin(), load.end(), one.load.items().begin());
    IdMatrix<LayerId, SlotId, ExpertId> slots(1, problem.slots, ExpertId(0));
    const auto old = problem.old->layer(layer);
    std::copy(old.begin(), old.end(), slots.items().begin());
    const Placement before(problem.experts(), problem.topology.ranks(), std::move(slots));
    one.old = &before;
    const Bought part = bought_by(one, transfers_per_layer);
    bought.residual += part.residual / layers;
    bought.transfers += part.transfers / layers;
  }
  return bought;
}

}  // namespace

void budget() {
  std::printf(
      "\n== budget: 58 layers of different skew, 32 ranks x 9: residual imbalance (%%) and "
      "transfers per layer, spread over all layers or uniform\n");
  const Shape shape{256, 32, 9, 4};
  LoadMatrix before(58, 256);
  LoadMatrix after(58, 256);
  const auto mild = drifting_windows(58, 256, 0.9, 6, 11);
  for (const LayerId layer : before.row_ids()) {
    // Early layers drift little, late ones a lot.
    const double share = static_cast<double>(layer.index()) / 57;
    for (const ExpertId e : before.column_ids()) {
      before(layer, e) = mild[0](layer, e);
      after(layer, e) = (1 - share) * mild[0](layer, e) + share * mild[5](layer, e);
    }
  }
  const PlanResult old = plan_by("balanced", {}, problem_of(before, shape));
  PlanProblem problem = problem_of(after, shape);
  problem.old = &old.placement;
  for (const double transfers : {1, 2, 4, 8, 16}) {
    const Bought spread = bought_by(problem, transfers);
    const Bought uniform = bought_uniformly(problem, transfers);
    std::printf(
        "%4.0f transfers per layer: spread %.2f %% (%.2f)  uniform %.2f %% (%.2f)  %.1f %% "
        "less  %s\n",
        transfers, 100 * spread.residual, spread.transfers, 100 * uniform.residual,
        uniform.transfers, 100 * (1 - spread.residual / uniform.residual),
        verdict(spread.residual <= 0.85 * uniform.residual));
    std::fflush(stdout);
  }
}

}  // namespace moeshift::quality
