// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/placement_format.hpp"

#include <sstream>

#include "moeshift/core/error.hpp"
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

TEST_CASE("bad TensorRT-LLM files are refused with their line") {
  const auto fault = [](const std::string& map) {
    return fault_of("num_slots: 2\nep_size: 2\ninitial_global_assignments:\n" + map);
  };
  CHECK(fault("  3: [0]\n") == "p:4: expected 2 slots, got 1");
  CHECK(fault("  3: [0, -2]\n").find("p:4: expected a whole number in [-1, ") == 0);
  CHECK(fault("  3: [0, 1.5]\n").find("p:4: ") == 0);
  CHECK(fault("  3: [0, 0x1]\n").find("p:4: ") == 0);
  CHECK(fault("  x: [0, 1]\n").find("p:4: ") == 0);
  CHECK(fault("  3: [0, 1]\n  3: [0, 1]\n").find("layer 3 appears twice") != std::string::npos);
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
