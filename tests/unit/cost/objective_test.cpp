// SPDX-License-Identifier: Apache-2.0
#include "moeshift/cost/objective.hpp"

#include <cmath>
#include <numeric>

#include "tests/support/catch.hpp"
#include "tests/unit/plan/problems.hpp"

namespace moeshift {
namespace {

TEST_CASE("counting tokens only, a rank costs its load per step") {
  const LoadMatrix load = test::load_of({{8, 2, 4}});
  const Placement placement = test::placement_of({{0, 1, 0, 2}}, 3, 2);
  const RankLoads costs = rank_costs(load, placement, {.steps = 2});
  CHECK(costs(LayerId(0), RankId(0)) == Approx(3));
  CHECK(costs(LayerId(0), RankId(1)) == Approx(4));
}

TEST_CASE("an expert is active unless no token of the step comes to it") {
  // 10 tokens, 2 experts each: a pair probability of 0.6 for expert 0, 0.3 for one of two replicas.
  const std::vector<double> load{6, 10, 4};
  const Objective active{.per_token = 0, .per_active = 1, .top_k = 2};
  const LayerObjective layer(active, load);
  CHECK(layer.cost(0, 1) == Approx(1 - std::pow(0.4, 10)));
  CHECK(layer.cost(0, 2) == Approx(1 - std::pow(0.7, 10)));
  CHECK(layer.cost(1, 1) == 1);
  const std::vector<double> idle{6, 0, 4};
  CHECK(LayerObjective(active, idle).cost(1, 1) == 0);
}

TEST_CASE("tokens per step scale the recorded load") {
  const std::vector<double> load{600, 1000, 400};
  const Objective seconds{.per_token = 2, .per_active = 5, .top_k = 2, .tokens_per_step = 10};
  CHECK(LayerObjective(seconds, load).cost(0, 1) == Approx(2 * 6 + 5 * (1 - std::pow(0.4, 10))));
}

}  // namespace
}  // namespace moeshift
