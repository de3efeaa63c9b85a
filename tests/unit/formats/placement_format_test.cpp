// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/placement_format.hpp"

#include <sstream>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/engines/lightllm.hpp"
#include "moeshift/formats/npy/npy.hpp"
#include "moeshift/formats/placement_parts.hpp"

#include "tests/support/catch.hpp"

using namespace moeshift;

namespace {

PlacementFile read(const std::string& text, const PlacementHints& hints = {},
                   std::string_view format = "auto") {
  std::istringstream in(text);
  return read_placement(in, "p", hints, format);
}

std::string fault_of(const std::string& text, const PlacementHints& hints = {}) {
  try {
    static_cast<void>(read(text, hints));
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

Placement sample() {
  IdMatrix<LayerId, SlotId, ExpertId> map(2, 4, ExpertId::none());
  const std::vector<std::vector<int>> rows{{0, 1, 2, 0}, {2, 1, 0, 1}};
  for (std::size_t layer = 0; layer < 2; ++layer) {
    for (std::size_t slot = 0; slot < 4; ++slot) {
      map(LayerId(layer), SlotId(slot)) = ExpertId(rows[layer][slot]);
    }
  }
  return {3, 2, map};
}

}  // namespace

TEST_CASE("every placement format gives back the placement that it was given") {
  const Placement placement = sample();
  for (const PlacementFormat& format : placement_formats()) {
    if (format.write == nullptr) continue;
    INFO("format " << format.name);
    std::ostringstream out;
    format.write(out, {placement, {}});
    const PlacementFile again = read(out.str(), {3, 2});
    CHECK(again.placement == placement);
    // Of TensorRT-LLM's file they are the model's own numbers, 0 or not.
    if (format.name != "trtllm") CHECK(again.layer_ids.empty());
  }
}

TEST_CASE("a NumPy table of ranks and a pattern of zeros and ones are the same placement") {
  const auto array = [](std::vector<std::size_t> shape, const std::vector<std::int64_t>& items) {
    std::string bytes = npy_header(shape);
    for (const std::int64_t item : items) append_npy_item(bytes, item);
    return bytes;
  };
  // Two layers, two ranks: {0,1},{2,0} and {1,2},{0,-1}.
  const Placement flat = read(array({2, 4}, {0, 1, 2, 0, 1, 2, 0, -1}), {3, 2}).placement;
  const Placement table = read(array({2, 2, 2}, {0, 1, 2, 0, 1, 2, 0, -1}), {3, {}}).placement;
  CHECK(table == flat);
  const Placement pattern =
      read(array({2, 2, 3}, {1, 1, 0, 0, 1, 1, 1, 0, 1, 1, 0, 0}), {}).placement;
  CHECK(pattern.ranks() == 2);
  CHECK(pattern.experts() == 3);
  const auto ids = [&](std::size_t layer) {
    std::vector<std::int64_t> row;
    for (const ExpertId e : pattern.layer(LayerId(layer))) {
      row.push_back(e.is_none() ? -1 : std::int64_t{e.value()});
    }
    return row;
  };
  CHECK(ids(0) == std::vector<std::int64_t>{0, 1, 0, 2});
  CHECK(ids(1) == std::vector<std::int64_t>{1, 2, 0, -1});
  CHECK_THROWS_AS(read(array({2, 2, 2}, {0, 1, 2, 0, 1, 2, 0, 9}), {3, {}}), InputError);
  CHECK_THROWS_AS(read(array({4}, {0, 1, 2, 0}), {3, 2}), InputError);
}

TEST_CASE("slots that hold nothing survive a round trip") {
  IdMatrix<LayerId, SlotId, ExpertId> map(1, 4, ExpertId::none());
  map(LayerId(0), SlotId(1)) = ExpertId(1);
  map(LayerId(0), SlotId(3)) = ExpertId(0);
  const Placement placement(2, 2, map);
  for (const PlacementFormat& format : placement_formats()) {
    if (format.write == nullptr) continue;
    INFO("format " << format.name);
    std::ostringstream out;
    format.write(out, {placement, {}});
    CHECK(read(out.str(), {2, 2}).placement == placement);
  }
}

TEST_CASE("a plan file needs no hints") {
  const PlacementFile file = read(
      R"({"schema":"moeshift.plan/1","meta":{"argv":[]},"result":{"placement":{"num_experts":2,)"
      R"("num_ranks":2,"layer_ids":[5],"physical_to_logical":[[0,1]]},"plan_seconds":0.1}})");
  CHECK(file.placement.ranks() == 2);
  CHECK(file.layer_ids == std::vector<std::int64_t>{5});
}

TEST_CASE("a vLLM mapping states its experts and orders layers by number") {
  const PlacementFile file =
      read(R"({"record_type":"session_metadata"})"
           "\n"
           R"({"record_type":"eplb_initial_mapping","version":1,"num_redundant_experts":1,)"
           R"("num_slots":4,"initial_global_assignments":{"10":[0,1,2,0],"9":[2,1,0,1]}})",
           {std::nullopt, 2});
  CHECK(file.placement.experts() == 3);
  CHECK(file.layer_ids == std::vector<std::int64_t>{9, 10});
  CHECK(file.placement(LayerId(0), SlotId(0)) == ExpertId(2));
}

TEST_CASE("a vLLM file with two mappings is asked about, whichever comes first") {
  const auto mapping = [](const std::string& model, const std::string& rows) {
    return R"({"record_type":"eplb_initial_mapping","version":1,"model":")" + model +
           R"(","num_redundant_experts":0,"num_slots":2,"initial_global_assignments":{)" + rows +
           "}}\n";
  };
  const std::string target = mapping("target", R"("0":[0,1],"1":[1,0])");
  const std::string drafter = mapping("drafter", R"("0":[1,0])");
  const std::string stats = R"({"record_type":"eplb_load_stats"})"
                            "\n";
  const PlacementHints two{std::nullopt, 2};
  for (const std::string& text : {target + drafter, drafter + stats + target}) {
    const std::string fault = fault_of(stats + text, two);
    CHECK(fault.find("a second mapping, of ") != std::string::npos);
    CHECK(fault.find("drafter") != std::string::npos);
    CHECK(fault.find("target") != std::string::npos);
  }
  CHECK(read(stats + target + stats + target, two).placement.layers() == 2);
}

TEST_CASE("a map whose two directions disagree is refused") {
  const auto fault = [](const std::string& other) {
    return fault_of(
        R"({"physical_to_logical_map":[[0,1,0,-1]],"logical_to_all_physical_map":)" + other + "}",
        {std::nullopt, 2});
  };
  CHECK(fault("[[[0,2],[1,-1]]]").empty());
  CHECK(fault("[[[2,0,-1],[1]]]").empty());
  CHECK(fault("[[[0,1],[2]]]").find("/0/0: slot 1 does not hold expert 0 in the map of slots") !=
        std::string::npos);
  CHECK(fault("[[[0],[1]]]").find("/0: no expert is in slot 2, which holds 0") !=
        std::string::npos);
  CHECK(fault("[[[0,2],[1],[3]]]").find("slot 3 does not hold expert 2") != std::string::npos);
  CHECK(fault("[[[0,2],[1,9]]]").find("slot 9 does not hold expert 1") != std::string::npos);
  CHECK(fault("[]").find("expected 1 layers") != std::string::npos);
}

TEST_CASE("more layers than hidden ones are refused where nothing numbers them") {
  const auto plan = [](const std::string& layers) {
    return R"({"schema":"moeshift.plan/2","result":{"placement":{"num_experts":2,"num_ranks":2,)" +
           layers + R"("physical_to_logical":[[0,1],[1,0]]}}})";
  };
  CHECK(fault_of(plan(R"("num_hidden_layers":1,)"))
            .find("/num_hidden_layers: expected at least the 2 layers") != std::string::npos);
  CHECK(fault_of(plan(R"("num_hidden_layers":2,)")).empty());
  CHECK(fault_of(plan(R"("layer_ids":[0,1],"num_hidden_layers":1,)")).empty());  // a draft layer
}

TEST_CASE("a plan with empty slots comes back with its load and what it was made for") {
  const std::string text =
      R"({"schema":"moeshift.plan/2","result":{"placement":{"num_experts":2,"num_ranks":1,)"
      R"("physical_to_logical":[[0,1,-1]]},"planned_for":{"cluster":"c","model":"m","nodes":1},)"
      R"("load":[[3,0.5]]}})";
  std::ostringstream out;
  placement_format("moeshift").write(out, read(text));
  const PlacementFile again = read(out.str());
  CHECK(again.world.cluster == "c");
  CHECK(again.world.model == "m");
  CHECK(again.world.nodes == 1);
  REQUIRE(again.load.rows() == 1);
  CHECK(again.load(LayerId(0), ExpertId(1)) == 0.5);
}

TEST_CASE("LightLLM's default is for every layer of the model that no file names") {
  const std::vector<RankText> files{{"r0", R"({"redundancy_expert_num":1,"3":[2],"default":[3]})"},
                                    {"r1", R"({"redundancy_expert_num":1,"3":[0],"default":[1]})"}};
  PlacementHints hints{4, {}};
  const auto fault = [&](const std::vector<RankText>& given,
                         const PlacementHints& with) -> std::string {
    try {
      static_cast<void>(read_lightllm(given, with));
    } catch (const InputError& error) {
      return error.what();
    }
    return "";
  };
  CHECK(fault(files, hints).find("names 1 layer, and \"default\" is for all others") !=
        std::string::npos);
  hints.layer_ids = {3, 5};
  const PlacementFile file = read_lightllm(files, hints);
  CHECK(file.layer_ids == std::vector<std::int64_t>{3, 5});
  CHECK(row_text(file.placement.layer(LayerId(0))) == "[0,1,2,2,3,0]");
  CHECK(row_text(file.placement.layer(LayerId(1))) == "[0,1,3,2,3,1]");
  hints.layer_ids = {5, 7};  // layer 3 is none of the model's: a draft layer, or told by the caller
  CHECK(read_lightllm(files, hints).layer_ids == std::vector<std::int64_t>{3, 5, 7});
  const std::vector<RankText> named{{"r0", R"({"redundancy_expert_num":1,"3":[2]})"},
                                    {"r1", R"({"redundancy_expert_num":1,"3":[0]})"}};
  CHECK(read_lightllm(named, hints).layer_ids == std::vector<std::int64_t>{3});
  const auto second = [&](const std::string& text) {
    return fault({files[0], {"r1", text}}, hints);
  };
  CHECK(second(R"({"redundancy_expert_num":1,"3":[9],"default":[1]})").find("r1#/3/0: ") == 0);
  CHECK(second(R"({"redundancy_expert_num":1,"3":[-1],"default":[1]})").find("r1#/3/0: ") == 0);
  CHECK(second(R"({"redundancy_expert_num":2,"3":[0,1],"default":[1,0]})")
            .find("r1#/redundancy_expert_num: ") == 0);
  CHECK(second(R"({"redundancy_expert_num":1,"03":[0],"default":[1]})").find("r1#/03: ") == 0);
  CHECK(second(R"({"redundancy_expert_num":1,"5":[0]})").find("r1: has neither layer 3") == 0);
  hints.num_experts = {};
  CHECK(fault(files, hints).find("expected `experts` or `model`") != std::string::npos);
  hints.likely_experts = 4;
  CHECK(read_lightllm(files, hints).placement.experts() == 4);
}

TEST_CASE("bad placements are refused with their place") {
  const PlacementHints two{std::nullopt, 2};
  CHECK(fault_of(R"({"physical_to_logical_map":[[0,1],[1]]})", two) ==
        "p#/physical_to_logical_map/1: expected 2 slots, got 1");
  CHECK(fault_of(R"({"physical_to_logical_map":[[0,1,0]]})", two) ==
        "p#/physical_to_logical_map: 3 slots do not divide evenly over 2 ranks");
  CHECK(fault_of(R"({"physical_to_logical_map":[[0,1]]})").find("does not say how many ranks") !=
        std::string::npos);
  CHECK(fault_of(R"({"physical_to_logical_map":[[0,5]]})", {3, 2}) ==
        "p#/physical_to_logical_map/0/1: expected an expert in 0 .. 2 or -1");
  CHECK(fault_of(R"({"physical_to_logical_map":[[0,-2]]})", two)
            .find("p#/physical_to_logical_map/0/1: ") == 0);
  CHECK(fault_of(R"({"physical_to_logical_map":[[0,1.5]]})", two)
            .find("p#/physical_to_logical_map/0/1: ") == 0);
  CHECK(fault_of(R"({"physical_to_logical_map":[]})", two).find("p#/physical_to_logical_map: ") ==
        0);
  CHECK(fault_of(R"({"schema":"moeshift.moves/1"})") == "p#/schema: expected \"moeshift.plan/2\"");
  CHECK(fault_of(R"({"schema":"moeshift.plan/1","result":{"placement":{"num_experts":2,)"
                 R"("num_ranks":2,"physical_to_logical":[[0,1]]}}})",
                 {std::nullopt, 4})
            .find("expected 4 ranks, but the file says 2") != std::string::npos);
  CHECK(fault_of(R"({"record_type":"eplb_load_stats"})").find("eplb_initial_mapping") !=
        std::string::npos);
  CHECK(fault_of(R"({"record_type":"eplb_initial_mapping","version":1,"num_redundant_experts":0,)"
                 R"("num_slots":3,"initial_global_assignments":{"0":[0,1]}})",
                 two) == "p:1#/num_slots: expected 2, as in the map");
  CHECK(fault_of("") == "p:1: the file is empty; expected a placement");
  CHECK(fault_of("{}").find("p:1: expected a placement") == 0);
}

TEST_CASE("Ascend's layers and devices of different numbers of experts get empty slots") {
  const PlacementFile file =
      read(R"({"moe_layer_count":2,"layer_list":[)"
           R"({"layer_id":0,"device_count":2,"device_list":[)"
           R"({"device_id":0,"device_expert":[0,1]},{"device_id":1,"device_expert":[2]}]},)"
           R"({"layer_id":1,"device_count":2,"device_list":[)"
           R"({"device_id":1,"device_expert":[2,0,1]},{"device_id":0,"device_expert":[1]}]}]})");
  REQUIRE(file.placement.slots_per_rank() == 3);
  const auto row = [&](std::size_t layer) {
    return moeshift::row_text(file.placement.layer(LayerId(layer)));
  };
  CHECK(row(0) == "[0,1,-1,2,-1,-1]");
  CHECK(row(1) == "[1,-1,-1,2,0,1]");
}

TEST_CASE("a TensorRT-LLM file orders layers by number and may state its ranks") {
  const std::string text =
      "num_slots: 4\nlayer_updates_per_iter: 0\ninitial_global_assignments: {4: [2, 1, 0, 1], "
      "3: [0, 1, 2, 0]}\n";
  const PlacementFile file = read(text, {std::nullopt, 2});
  CHECK(file.placement == sample());
  CHECK(file.layer_ids == std::vector<std::int64_t>{3, 4});
  CHECK(read(text + "ep_size: 4\n").placement.ranks() == 4);
  CHECK(fault_of(text).find("does not say how many ranks") != std::string::npos);
  std::ostringstream out;
  placement_format("trtllm").write(out, file);
  CHECK(out.str().rfind("# ep_size 2: slot s is on rank s / 2\nnum_slots: 4\n", 0) == 0);
  CHECK(read(out.str(), {std::nullopt, 2}).layer_ids == file.layer_ids);
}

TEST_CASE("YAML that engines read otherwise than yaml-cpp is refused with its line") {
  const std::string map = "num_slots: 2\nep_size: 2\ninitial_global_assignments:\n  3: [0, 1]\n";
  REQUIRE(fault_of(map).empty());
  CHECK(fault_of(map + "initial_global_assignments:\n  3: [1, 0]\n")
            .find("p:5: the key \"initial_global_assignments\" is there already, in line 3") == 0);
  CHECK(fault_of("num_slots: 4\n" + map).find("p:2: the key \"num_slots\"") == 0);
  CHECK(fault_of("a: {b: [{c: 1, c: 2}]}\n" + map).find("p:1: the key \"c\"") == 0);
  CHECK(fault_of("{\"num_slots\": 2, \"num_slots\": 2, \"initial_global_assignments\": {}}")
            .find("p:1: the key \"num_slots\"") == 0);
  CHECK(fault_of(map + "---\n" + map).find("expected one YAML document") != std::string::npos);
  CHECK(fault_of(map + "---\n").find("expected one YAML document") != std::string::npos);
  CHECK(fault_of("--- # one\n" + map + "...\n").empty());
  CHECK(fault_of("base: &base {a: 1}\nmore:\n  <<: *base\n" + map).find("p:3: merge keys") == 0);
  CHECK(fault_of("a: [{b: 1}, {b: 1}]\nc: {b: 1}\n? [d, e]\n: 1\nx: &x a\n*x : 1\n" + map).empty());
}

TEST_CASE("server options say the ranks of their balancer unless they leave them unset") {
  const auto options = [](const std::string& ranks, const std::string& balancer = "") {
    return "moe_config:\n  load_balancer:\n    num_slots: 2\n" + balancer +
           "    initial_global_assignments: {3: [0, 1]}\n" + ranks;
  };
  CHECK(read(options("moe_expert_parallel_size: 2\n")).placement.ranks() == 2);
  CHECK(read(options("ep_size: 2\n")).placement.ranks() == 2);
  for (const char* unset : {"null", "", "~", "-1"}) {
    const std::string text = options(std::string("moe_expert_parallel_size: ") + unset + "\n");
    CHECK(fault_of(text).find("does not say how many ranks") != std::string::npos);
    CHECK(read(text, {std::nullopt, 2}).placement.ranks() == 2);
  }
  CHECK(fault_of(options("moe_expert_parallel_size: 0\n"))
            .find("p:5: moe_expert_parallel_size: expected a whole number") == 0);
  CHECK(fault_of(options("moe_expert_parallel_size: 2\n", "    ep_size: 1\n"))
            .find("moe_expert_parallel_size says 2 ranks, and ep_size 1") != std::string::npos);
  CHECK(read(options("moe_expert_parallel_size: 2\n", "    ep_size: 2\n")).placement.ranks() == 2);
  CHECK(
      fault_of(options("load_balancer: {num_slots: 2, initial_global_assignments: {3: [1, 0]}}\n"))
          .find("a second balancer") != std::string::npos);
  CHECK(
      read("\n " + std::string(R"({"num_slots": 2, "initial_global_assignments": {"3": [0, 1]}})"),
           {std::nullopt, 2})
          .layer_ids == std::vector<std::int64_t>{3});
}

TEST_CASE("bad TensorRT-LLM files are refused with their line") {
  const auto fault = [](const std::string& map) {
    return fault_of("num_slots: 2\nep_size: 2\ninitial_global_assignments:\n" + map);
  };
  CHECK(fault("  3: [0]\n") == "p:4: expected 2 slots, got 1");
  CHECK(fault("  3: [0, -2]\n").find("p:4: expected a whole number in [-1, ") == 0);
  CHECK(fault("  3: [0, 1.5]\n").find("p:4: ") == 0);
  CHECK(fault("  3: [0, 0x1]\n").find("p:4: ") == 0);
  CHECK(fault("  x: [0, 1]\n").find("p:4: ") == 0);
  CHECK(
      fault("  3: [0, 1]\n  3: [0, 1]\n").find("p:5: the key \"3\" is there already, in line 4") !=
      std::string::npos);
  CHECK(fault("  3: [0, 1\n").find("p:") == 0);
  CHECK(fault("  3: 7\n").find("expected {layer: [experts]}") != std::string::npos);
  CHECK(fault("").find("expected the key \"initial_global_assignments\"") != std::string::npos);
  CHECK(fault("  - 1\n").find("p:") == 0);
}

TEST_CASE("an Ascend map orders devices by number") {
  const PlacementFile file = read(
      R"({"moe_layer_count":1,"layer_list":[{"layer_id":0,"device_count":2,"device_list":[)"
      R"({"device_id":1,"device_expert":[6,1,4,5,2]},{"device_id":0,"device_expert":[7,2,0,3,5]}]}]})");
  CHECK(file.placement.ranks() == 2);
  CHECK(file.placement.experts() == 8);
  CHECK(file.placement(LayerId(0), SlotId(0)) == ExpertId(7));
  CHECK(file.placement(LayerId(0), SlotId(5)) == ExpertId(6));
}

TEST_CASE("bad Ascend maps are refused with their place") {
  const auto fault = [](const std::string& devices, int count = 2) {
    return fault_of(R"({"moe_layer_count":1,"layer_list":[{"layer_id":0,"device_count":)" +
                    std::to_string(count) + R"(,"device_list":[)" + devices + "]}]}");
  };
  const std::string good = R"({"device_id":0,"device_expert":[0,1]})";
  CHECK(fault(good, 1).empty());
  CHECK(fault(good).find("p#/layer_list/0/device_count: expected 2 devices") == 0);
  CHECK(fault(good + "," + good).find("/device_list/1/device_id: this device appears twice") !=
        std::string::npos);
  CHECK(fault(good + R"(,{"device_id":1,"device_expert":[]})")
            .find("/device_expert: expected at least one expert") != std::string::npos);
  CHECK(fault(good + R"(,{"device_id":2,"device_expert":[0,1]})").find("/device_id: ") !=
        std::string::npos);
  CHECK(fault_of(R"({"moe_layer_count":2,"layer_list":[{}]})").find("p#/moe_layer_count: ") == 0);
  CHECK(fault_of(R"({"moe_layer_count":0,"layer_list":[]})").find("p#/layer_list: ") == 0);
}
