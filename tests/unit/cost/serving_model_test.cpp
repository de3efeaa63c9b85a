// SPDX-License-Identifier: Apache-2.0
#include "moeshift/cost/serving_model.hpp"

#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/core/json_reader.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/small_machine.hpp"

using namespace moeshift;
using namespace moeshift::test;

namespace {

Approx exactly(double value) {
  return Approx(value).epsilon(1e-9);
}

LayerTime time_of(const ServingModel& model, const std::vector<double>& load,
                  const std::vector<std::uint32_t>& slots, const LinkContention& contention = {}) {
  const Placement placement = placement_of(1, load.size(), model.topology().ranks(), slots);
  return model.layer_time(load, dispatch_shares(placement, LayerId(0), model.topology(), {}),
                          contention);
}

}  // namespace

TEST_CASE("one link and one layer follow the closed form") {
  const ServingModel model(small_parameters(), small_cluster(), Topology(2, 1), 2);
  const LayerTime time = time_of(model, {300, 100}, {0, 1});
  REQUIRE(time.busiest_tokens == exactly(300));
  REQUIRE(time.mean_tokens == exactly(200));
  REQUIRE(time.compute.count() == exactly(300 * 1e-6));
  // Half of rank 0's tokens come over the link: latency + bytes / rate.
  REQUIRE(time.dispatch.count() == exactly(1e-5 + 150 * 100 / 1e9));
  REQUIRE(time.combine.count() == exactly(1e-5 + 150 * 200 / 1e9));
  REQUIRE(time.total.count() == exactly(1e-4 + 300e-6 + 2e-5 + 150 * 300 / 1e9));
}

TEST_CASE("weights are read once however few the tokens") {
  const ServingModel model(small_parameters(), small_cluster(), Topology(2, 1), 2);
  REQUIRE(time_of(model, {1, 0, 1, 0}, {0, 1, 2, 3}).compute.count() == exactly(5e-5));
  REQUIRE(time_of(model, {1, 1, 1, 0}, {0, 1, 2, 3}).compute.count() == exactly(10e-5));
  // Half a token on average: read every other step.
  REQUIRE(time_of(model, {0.5, 0, 0, 0}, {0, 1, 2, 3}).compute.count() == exactly(2.5e-5));
}

TEST_CASE("the slower class of links decides") {
  const ServingModel model(small_parameters(), small_cluster(), Topology(4, 2), 2);
  // Each rank gets 1/4 of its 400 tokens from its node mate and 1/2 from the other node.
  const LayerTime time = time_of(model, {400, 400, 400, 400}, {0, 1, 2, 3});
  REQUIRE(time.dispatch.count() == exactly(2e-5 + 200 * 100 / 1e8));
}

TEST_CASE("contention takes its share of the links it is on and of no other") {
  const ServingModel model(small_parameters(), small_cluster(), Topology(4, 2), 2);
  LinkContention inter{};
  inter[static_cast<std::size_t>(LinkClass::kInterNode)] = 0.5;
  const std::vector<double> load = {400, 400, 400, 400};
  REQUIRE(time_of(model, load, {0, 1, 2, 3}, inter).dispatch.count() ==
          exactly(2e-5 + 200 * 100 / 0.5e8));
  LinkContention intra{};
  intra[static_cast<std::size_t>(LinkClass::kIntraNode)] = 0.5;
  REQUIRE(time_of(model, load, {0, 1, 2, 3}, intra).dispatch ==
          time_of(model, load, {0, 1, 2, 3}).dispatch);
}

TEST_CASE("node ports and a shared fabric bound what their ranks get together") {
  Cluster cluster = small_cluster();
  cluster.inter_node.node_ingress = BytesPerSecond(1e8);
  const ServingModel nics(small_parameters(), cluster, Topology(4, 2), 2);
  const std::vector<double> load = {400, 400, 400, 400};
  REQUIRE(time_of(nics, load, {0, 1, 2, 3}).dispatch.count() == exactly(2e-5 + 400 * 100 / 1e8));
  cluster.node_fabric = BytesPerSecond(1e7);
  const ServingModel fabric(small_parameters(), cluster, Topology(4, 2), 2);
  REQUIRE(time_of(fabric, load, {0, 1, 2, 3}).dispatch.count() == exactly(600 * 100 / 1e7));
}

TEST_CASE("a token that crosses once per node sends fewer copies than it has experts") {
  ServingParameters parameters = small_parameters();
  parameters.once_per_node = true;
  const ServingModel model(parameters, small_cluster(), Topology(4, 2), 2);
  // Two nodes and two experts: 3/4 of a copy to the other node instead of 1.
  const LayerTime time = time_of(model, {400, 400, 400, 400}, {0, 1, 2, 3});
  REQUIRE(time.dispatch.count() == exactly(2e-5 + 200 * 0.75 * 100 / 1e8));
}

TEST_CASE("overlap hides its share of the shorter of compute and communication") {
  ServingParameters parameters = small_parameters();
  parameters.overlap = 0.75;
  const ServingModel model(parameters, small_cluster(), Topology(2, 1), 2);
  const LayerTime time = time_of(model, {300, 100}, {0, 1});
  const double compute = time.compute.count();
  const double communication = (time.dispatch + time.combine).count();
  REQUIRE(communication < compute);
  REQUIRE(time.total.count() == exactly(1e-4 + compute + 0.25 * communication));
}

TEST_CASE("outside the MoE layers a step costs its fixed part and the dense weights") {
  const ServingModel model(small_parameters(), small_cluster(), Topology(2, 1), 2);
  REQUIRE(model.outside_layers(0, 3).count() == exactly(1e-3 + 3 * 1e-5));
  // 4000 pairs = 2000 tokens = 1000 per rank.
  REQUIRE(model.outside_layers(4000, 3).count() == exactly(1e-3 + 3 * 1000 * 1e-7));
}

TEST_CASE(
    "a slow rank takes longer for its tokens, and everybody waits for it outside the layers") {
  // Speeds 1 and 3 are 1/2 and 3/2 of their mean.
  const std::vector<double> speed{1, 3};
  const ServingModel model(small_parameters(), small_cluster(), Topology(2, 1), 2, speed);
  const LayerTime time = time_of(model, {300, 200}, {1, 0});
  REQUIRE(time.compute.count() == exactly(200 / 0.5 * 1e-6));
  REQUIRE(time.busiest_tokens == exactly(400));
  REQUIRE(time.mean_tokens == exactly(250));
  // Twice as slow in reading weights, too: one of one expert at half speed.
  REQUIRE(time_of(model, {1, 0}, {0, 1}).compute.count() == exactly(5e-5 / 0.5));
  const ServingModel alike(small_parameters(), small_cluster(), Topology(2, 1), 2,
                           std::vector<double>{7, 7});
  REQUIRE(alike.rank_speed().empty());
  const Seconds fixed = small_parameters().step_fixed;
  const Seconds even = alike.outside_layers(4000, 3) - fixed;
  REQUIRE((model.outside_layers(4000, 3) - fixed).count() == exactly(even.count() / 0.5));
  REQUIRE_THROWS_AS(ServingModel(small_parameters(), small_cluster(), Topology(4, 1), 2, speed),
                    InputError);
}

TEST_CASE("measured layer times are interpolated and replace the formulae") {
  const nlohmann::ordered_json file = parse_json(
      R"({"source":"test","step_fixed_seconds":0.002,"layer_seconds":[[100,0.001],[300,0.002]]})",
      "times.json");
  ServingParameters parameters = small_parameters();
  read_measured_step_time(JsonReader(file, "times.json"), parameters);
  const ServingModel model(parameters, small_cluster(), Topology(2, 1), 2);
  REQUIRE(time_of(model, {200, 100}, {0, 1}).total.count() == exactly(0.0015));
  REQUIRE(time_of(model, {500, 100}, {0, 1}).total.count() == exactly(0.003));
  REQUIRE(model.outside_layers(4000, 3).count() == exactly(0.002));
}

TEST_CASE("a faulty step time file is refused with its place") {
  ServingParameters parameters;
  for (const char* text :
       {R"({"source":"x","step_fixed_seconds":0,"layer_seconds":[[1,1]]})",
        R"({"source":"x","step_fixed_seconds":0,"layer_seconds":[[2,1],[1,1]]})",
        R"({"source":"x","step_fixed_seconds":0,"layer_seconds":[[2],[1,1]]})",
        R"({"source":"x","step_fixed_seconds":-1,"layer_seconds":[[1,1],[2,2]]})",
        R"({"source":"x","layer_seconds":[[1,1],[2,2]]})", R"({"extra":1})"}) {
    INFO(text);
    const nlohmann::ordered_json file = parse_json(text, "times.json");
    REQUIRE_THROWS_AS(read_measured_step_time(JsonReader(file, "times.json"), parameters),
                      InputError);
  }
}

TEST_CASE("parameters follow from model and machine") {
  ServingMachine machine;
  machine.name = "m";
  machine.flops_per_second["bf16"] = 1e12;
  machine.memory = BytesPerSecond(1e9);
  machine.dispatch_bytes = 1;
  machine.combine_bytes = 2;
  MoeModel model;
  model.hidden_size = 100;
  model.expert_tensors = {{"w", {100, 50}, "bf16", Bytes(10'000)}, {"s", {10}, "fp32", Bytes(40)}};
  const ServingParameters parameters = serving_parameters(machine, model);
  REQUIRE(parameters.expert_per_token.count() == exactly(2 * 5000 / 1e12));
  REQUIRE(parameters.expert_floor.count() == exactly(10'040 / 1e9));
  REQUIRE(parameters.dense_per_token.count() == exactly(2 * 40'000 / 1e12));
  REQUIRE(parameters.dense_floor.count() == exactly(80'000 / 1e9));
  REQUIRE(parameters.combine_bytes == 200);
  model.expert_tensors[0].dtype = "fp8_e4m3";
  REQUIRE_THROWS_AS(serving_parameters(machine, model), InputError);
}
