// SPDX-License-Identifier: Apache-2.0
// Layers for which this window recorded nothing: they stay, and no mean counts them.
#include "moeshift/cost/balance.hpp"
#include "moeshift/plan/registry.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/plan/problems.hpp"

using namespace moeshift;

namespace {

/// A load whose layer 1 is idle.
LoadMatrix load_with_idle_layer() {
  LoadMatrix load = test::lognormal_load(3, 16, 0.9, 11);
  for (double& tokens : load.row(LayerId(1))) tokens = 0;
  return load;
}

PlanResult planned(std::string_view policy, const PlanProblem& problem) {
  NoProgress quiet;
  return make_planner(policy)->plan(problem, Threads{1}, quiet);
}

}  // namespace

TEST_CASE("A layer without load in this window stays where it is under every policy") {
  PlanProblem before{.load = test::lognormal_load(3, 16, 0.9, 12),
                     .samples = {},
                     .topology = Topology(4, 2),
                     .slots = 20};
  const Placement old = planned("balanced", before).placement;
  PlanProblem problem = before;
  problem.load = load_with_idle_layer();
  problem.samples = {problem.load, problem.load};
  problem.old = &old;
  for (const PolicyEntry& policy : policies()) {
    CAPTURE(policy.name);
    const PlanResult result = planned(policy.name, problem);
    const auto then = old.layer(LayerId(1));
    const auto now = result.placement.layer(LayerId(1));
    CHECK(std::equal(then.begin(), then.end(), now.begin(), now.end()));
    CHECK(result.layers[1].keep);
  }
}

TEST_CASE(
    "An idle layer with empty slots stays as well, one that must cross to other ranks is planned") {
  PlanProblem problem{
      .load = load_with_idle_layer(), .samples = {}, .topology = Topology(4, 1), .slots = 20};
  IdMatrix<LayerId, SlotId, ExpertId> slots(3, 20, ExpertId::none());
  for (const LayerId layer : slots.row_ids()) {
    for (std::size_t e = 0; e < 16; ++e) slots(layer, SlotId(e / 4 * 5 + e % 4)) = ExpertId(e);
  }
  const Placement old(16, 4, slots);
  problem.old = &old;
  const auto held = old.layer(LayerId(1));
  const PlanResult same = planned("incremental", problem);
  const auto now = same.placement.layer(LayerId(1));
  CHECK(std::equal(held.begin(), held.end(), now.begin(), now.end()));
  problem.topology = Topology(5, 1);
  problem.slots = 25;
  CHECK(planned("incremental", problem).placement.uncovered(LayerId(1)).empty());
}

TEST_CASE("Metrics are those of the layers that carry load, to the last digit") {
  const LoadMatrix load = load_with_idle_layer();
  LoadMatrix loaded(2, 16);
  for (const ExpertId expert : load.column_ids()) {
    loaded(LayerId(0), expert) = load(LayerId(0), expert);
    loaded(LayerId(1), expert) = load(LayerId(2), expert);
  }
  const auto metrics = [](const LoadMatrix& of) {
    const PlanProblem problem{.load = of, .samples = {}, .topology = Topology(4, 1), .slots = 20};
    const PlanResult result = planned("deepseek", problem);
    std::vector<double> bounds;
    for (const LayerVerdict& layer : result.layers) bounds.push_back(layer.lower_bound);
    return balance_of(rank_loads(of, result.placement), result.placement.ranks(), bounds);
  };
  const Balance with = metrics(load);
  const Balance without = metrics(loaded);
  CHECK(with.balancedness == without.balancedness);
  CHECK(with.imbalance == without.imbalance);
  CHECK(with.imbalance_trtllm == without.imbalance_trtllm);
  CHECK(with.balancedness_vllm == without.balancedness_vllm);
  CHECK(with.peak_load == without.peak_load);
  CHECK(with.gap_mean == without.gap_mean);
  CHECK(with.gap_max == without.gap_max);
}
