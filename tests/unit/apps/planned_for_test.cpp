// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/inputs/planned_for.hpp"

#include "moeshift/core/error.hpp"

#include "apps/moeshift/cli/session.hpp"
#include "tests/support/catch.hpp"

using namespace moeshift;
using namespace moeshift::cli;

namespace {

Session& session() {
  CommonOptions options;
  options.quiet = true;
  static Session quiet({"moeshift"}, options);
  return quiet;
}

/// Of OLMoE: 16 layers x 64 experts, top 8, one group.
TraceHeader header_of(std::size_t layers = 16, std::vector<std::int64_t> ids = {}) {
  TraceHeader header;
  header.num_layers = layers;
  header.num_experts = 64;
  header.layer_ids = std::move(ids);
  return header;
}

PlanShape shape_of(std::optional<std::string> model = "olmoe_1b_7b_bf16") {
  PlanShape shape;
  shape.ranks = 16;
  shape.slots = 64;
  shape.model = std::move(model);
  return shape;
}

std::string refusal(const PlanShape& shape, const TraceHeader& header) {
  try {
    (void)read_planned_for(session(), shape, header);
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("Groups are as asked, else as the model says, else as the trace says, else one") {
  TraceHeader header = header_of();
  header.num_expert_groups = 4;
  PlanShape shape = shape_of(std::nullopt);
  CHECK(read_planned_for(session(), shape, header).expert_groups == 4);
  CHECK(read_planned_for(session(), shape, header_of()).expert_groups == 1);
  CHECK(read_planned_for(session(), shape_of(), header).expert_groups == 1);
  shape.groups = 8;
  CHECK(read_planned_for(session(), shape, header).expert_groups == 8);
}

TEST_CASE("More groups than experts are refused, others are left to the policies that use them") {
  PlanShape shape = shape_of();
  shape.groups = 65;
  CHECK(refusal(shape, header_of()) == "--groups: expected 1 .. 64, got 65");
  shape.groups = 0;
  CHECK(refusal(shape, header_of()) != "");
}

TEST_CASE("Experts per token are as the trace says, else the model, else one") {
  TraceHeader header = header_of();
  CHECK(read_planned_for(session(), shape_of(), header).top_k() == 8);
  CHECK(read_planned_for(session(), shape_of(std::nullopt), header).top_k() == 1);
  header.top_k = 2;
  CHECK(read_planned_for(session(), shape_of(), header).top_k() == 2);
}

TEST_CASE("A model is cut to the layers that the trace names") {
  const PlannedFor planned = read_planned_for(session(), shape_of(), header_of(2, {3, 9}));
  REQUIRE(planned.model.has_value());
  CHECK(planned.model->num_layers == 2);
  CHECK(planned.model->layer_ids == std::vector<std::int64_t>{3, 9});
}

TEST_CASE("A trace of fewer layers than the model must name layers that the model has") {
  CHECK(refusal(shape_of(), header_of(2)) ==
        "--model: olmoe_1b_7b_bf16 has 16 layers x 64 experts, the trace 2 x 64");
  CHECK(refusal(shape_of(), header_of(2, {3, 16})) ==
        "--model: olmoe_1b_7b_bf16 has no MoE layer 16: its 16 are 0 to 15, those of the trace are "
        "3 to 16; name the model that it is of, or leave --model out; wrong numbers are mended in "
        "the file");
}

TEST_CASE("Nodes are as asked, else as many as the machine's ranks need") {
  PlanShape shape = shape_of();
  CHECK(read_planned_for(session(), shape, header_of()).topology.nodes() == 1);
  shape.cluster = "hgx_h200";
  CHECK(read_planned_for(session(), shape, header_of()).topology.nodes() == 2);
  shape.nodes = 4;
  CHECK(read_planned_for(session(), shape, header_of()).topology.nodes() == 4);
}

TEST_CASE("A shape of nothing is refused") {
  PlanShape shape = shape_of();
  shape.ranks = 0;
  CHECK(refusal(shape, header_of()).rfind("--ranks: ", 0) == 0);
  shape = shape_of();
  shape.slots = 0;
  CHECK(refusal(shape, header_of()).rfind("--slots: ", 0) == 0);
}

TEST_CASE("What needs machine and model says so in the name of the option") {
  const PlannedFor planned = read_planned_for(session(), shape_of(), header_of());
  CHECK_THROWS_WITH(planned.need_machine_and_model("--price", "needs both"), "--price: needs both");
}
