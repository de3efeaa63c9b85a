// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/plan/plan_goal.hpp"

#include <algorithm>
#include <string>

#include "moeshift/core/error.hpp"

#include "apps/moeshift/cli/option_set.hpp"
#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/inputs/plan_shape.hpp"
#include "tests/support/catch.hpp"

using namespace moeshift;
using namespace moeshift::cli;

namespace {

constexpr PlannedSteps kSteps{.count = 1, .pairs = 1e6};

Session& session() {
  CommonOptions options;
  options.quiet = true;
  static Session quiet({"moeshift"}, options);
  return quiet;
}

PlannedFor planned_for_olmoe() {
  TraceHeader header;
  header.num_layers = 16;
  header.num_experts = 64;
  PlanShape shape;
  shape.ranks = 16;
  shape.slots = 64;
  shape.model = "olmoe_1b_7b_bf16";
  shape.cluster = "hgx_h200";
  return read_planned_for(session(), shape, header);
}

}  // namespace

TEST_CASE("A transfer between nodes costs as many near ones as it takes longer") {
  const PlannedFor planned = planned_for_olmoe();
  const auto alone = [&](const LinkParameters& link) {
    return link.per_message +
           planned.expert_sizes()->mean() / std::min({link.pair, link.egress, link.ingress});
  };
  PolicyOptions policy;
  PlanGoal goal;
  goal.price_steps = 100;
  goal.apply_to(policy, session(), planned, kSteps);
  CHECK(policy.inter_node_price ==
        Approx(ratio(alone(planned.cluster->inter_node), alone(planned.cluster->intra_node))));
  CHECK(policy.inter_node_price > 1);
}

TEST_CASE("A price in seconds falls with the steps that a move may pay over") {
  const auto price_over = [](double steps) {
    PolicyOptions policy;
    PlanGoal goal;
    goal.price_steps = steps;
    goal.apply_to(policy, session(), planned_for_olmoe(), kSteps);
    return *policy.price;
  };
  CHECK(price_over(100) == Approx(10 * price_over(1000)));
}

TEST_CASE("A policy learns how large an expert is") {
  PolicyOptions policy;
  PlanGoal().apply_to(policy, session(), planned_for_olmoe(), kSteps);
  CHECK(policy.expert_bytes == Bytes(3 * 4194304));
}

TEST_CASE("A price is a number, or what it saves in so many steps; the last one said counts") {
  PolicyOptions policy;
  PlanGoal goal;
  OptionSet options;
  declare_policy_options(options, policy, goal.price_steps);
  const auto& records = options.records();
  const auto price = std::ranges::find(records, std::string("--price"), &OptionRecord::names);
  REQUIRE(price != records.end());
  price->store({"0.001"});
  CHECK(policy.price == 0.001);
  price->store({"seconds:250"});
  CHECK_FALSE(policy.price.has_value());
  CHECK(goal.price_steps == 250.0);
  for (const char* bad : {"seconds:", "seconds:-1", "seconds:0", "-1", "cheap", "1x", ""}) {
    INFO(bad);
    CHECK_THROWS_AS(price->store({bad}), InputError);
  }
}

TEST_CASE("Bytes without a model and seconds without a machine are refused") {
  PlannedFor planned = planned_for_olmoe();
  planned.model.reset();
  PolicyOptions policy;
  policy.budget = Bytes(1000);
  CHECK_THROWS_AS(PlanGoal().apply_to(policy, session(), planned, kSteps), InputError);
  PolicyOptions priced;
  PlanGoal goal;
  goal.price_steps = 100;
  CHECK_THROWS_AS(goal.apply_to(priced, session(), planned, kSteps), InputError);
}
