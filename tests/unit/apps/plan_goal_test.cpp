// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/plan/plan_goal.hpp"

#include "moeshift/core/error.hpp"

#include "apps/moeshift/cli/session.hpp"
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
  policy.price = "seconds:100";
  PlanGoal().apply_to(policy, session(), planned, kSteps);
  CHECK(policy.inter_node_price ==
        Approx(ratio(alone(planned.cluster->inter_node), alone(planned.cluster->intra_node))));
  CHECK(policy.inter_node_price > 1);
}

TEST_CASE("A price in seconds falls with the steps that a move may pay over") {
  const auto price_over = [](const std::string& price) {
    PolicyOptions policy;
    policy.price = price;
    PlanGoal().apply_to(policy, session(), planned_for_olmoe(), kSteps);
    return std::stod(*policy.price);
  };
  CHECK(price_over("seconds:100") == Approx(10 * price_over("seconds:1000")));
}

TEST_CASE("A policy learns how large an expert is") {
  PolicyOptions policy;
  PlanGoal().apply_to(policy, session(), planned_for_olmoe(), kSteps);
  CHECK(policy.expert_bytes == Bytes(3 * 4194304));
}

TEST_CASE("Bytes without a model, seconds without a machine and a bad horizon are refused") {
  PlannedFor planned = planned_for_olmoe();
  planned.model.reset();
  PolicyOptions policy;
  policy.budget = Bytes(1000);
  CHECK_THROWS_AS(PlanGoal().apply_to(policy, session(), planned, kSteps), InputError);
  PolicyOptions priced;
  priced.price = "seconds:100";
  CHECK_THROWS_AS(PlanGoal().apply_to(priced, session(), planned, kSteps), InputError);
  priced.price = "seconds:-1";
  CHECK_THROWS_AS(PlanGoal().apply_to(priced, session(), planned_for_olmoe(), kSteps), InputError);
}
