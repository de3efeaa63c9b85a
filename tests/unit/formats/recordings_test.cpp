// SPDX-License-Identifier: Apache-2.0
// Recordings as engines write them, and what tells them apart.
#include <cmath>

#include "moeshift/formats/placement_format.hpp"
#include "moeshift/trace/views.hpp"

#include "tests/unit/formats/recorded.hpp"

using namespace moeshift;
using namespace moeshift::recorded;

TEST_CASE("repeated steps of several data-parallel ranks count once") {
  const Trace trace = interop_trace("vllm_stats_repeated.jsonl");
  const Trace plain = interop_trace("plain.json");
  REQUIRE(trace.steps.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) CHECK(trace.steps[i].load == plain.steps[i].load);
  CHECK(trace.header.num_ranks == 4U);
  REQUIRE(trace.header.notes.size() == 1);
  CHECK(has(trace.header.notes[0], "4 records repeat a step"));
}

TEST_CASE("vLLM's expert load dump is read, whole or line by line") {
  const Trace trace = interop_trace("vllm_load_dump.json");
  REQUIRE(trace.steps.size() == 6);
  CHECK(trace.steps[0].step == 1000);
  CHECK(trace.header.model == "some/model");
  CHECK(trace.header.num_ranks == 4U);
  CHECK(row(trace.steps[0], 0)[0] == 53400);

  const std::string head =
      R"({"model":"m","world_size":1,"num_moe_layers":1,"num_physical_experts":3,)"
      R"("num_logical_experts":2,"window_size":100})"
      "\n";
  const auto snapshot = [](int step, const std::string& load) {
    return R"({"step":)" + std::to_string(step) + R"(,"window_expert_load":[)" + load +
           R"(],"latest_expert_load":null,"physical_to_logical_map":[[0,1,0]]})"
           "\n";
  };
  const Trace lines =
      read({text("d.jsonl", head + snapshot(100, "[1,2,3]") + snapshot(100, "[1,2,3]") + head +
                                snapshot(150, "[4,5,6]") + snapshot(200, "[7,8,9]"))});
  REQUIRE(lines.steps.size() == 2);  // 150 counts what 100 counted
  CHECK(row(lines.steps[0], 0) == std::vector<double>{4, 2});
  CHECK(row(lines.steps[1], 0) == std::vector<double>{16, 8});
  CHECK(lines.header.notes.size() == 2);
  const Trace turned =
      read({text("d.jsonl", head + snapshot(300, "[1,2,3]") + snapshot(100, "[4,5,6]") +
                                snapshot(350, "[1,1,1]") + snapshot(210, "[1,1,1]"))});
  CHECK(turned.steps.size() == 2);  // 350 and 210 count what 300 counted
  CHECK(doubted(turned, "step_order"));
  CHECK_FALSE(doubted(lines, "step_order"));
  Trace twice = lines;  // the same step from two files is no order either
  twice.steps[1].step = twice.steps[0].step;
  CHECK(doubted(twice, "step_order"));
  const std::string one_pass =
      R"({"step":500,"latest_expert_load":[[1,1,1]],"physical_to_logical_map":[[0,1,0]]})";
  const Trace mixed = read({text("d.jsonl", head + snapshot(100, "[1,2,3]") + one_pass)});
  REQUIRE(mixed.header.notes.size() == 1);
  CHECK(has(mixed.header.notes[0], "1 snapshots have the load of their latest pass alone"));
  std::string redundant = head;
  redundant.replace(redundant.find("\"window_size"), 0, "\"num_redundant_experts\":0,");
  CHECK(has(fault_of({text("d.jsonl", redundant + snapshot(100, "[1,2,3]"))}),
            "expected 0 redundant experts, as the header says, got 1"));
}

TEST_CASE("a file of two models asks which one") {
  const auto record = [](const std::string& model, int step, const std::string& load) {
    return R"({"record_type":"eplb_load_stats","version":1,"model":")" + model + R"(","step":)" +
           std::to_string(step) + R"(,"num_ranks":1,"num_layers":1,"expert_load":[)" + load +
           R"(],"p2l_map":[[0,1]]})"
           "\n";
  };
  const std::string both =
      record("big", 1, "[1,2]") + record("draft", 1, "[3,4]") + record("big", 2, "[5,6]");
  CHECK(has(fault_of({text("s", both)}), "`trace-model`"));
  TraceReadOptions draft;
  draft.model = "draft";
  const Trace trace = read({text("s", both)}, draft);
  REQUIRE(trace.steps.size() == 1);
  CHECK(row(trace.steps[0], 0) == std::vector<double>{3, 4});
  draft.model = "drift";
  CHECK(has(fault_of({text("s", both)}, draft), "found 'big', 'draft'"));
}

TEST_CASE("files that count one rank each are added up") {
  const Trace plain = interop_trace("plain.json");
  const auto total = [](const TraceStep& step) {
    double sum = 0;
    for (const double tokens : step.load.items()) sum += tokens;
    return sum;
  };
  const auto near_plain = [&](const Trace& trace) {
    if (trace.steps.size() != plain.steps.size()) return false;
    for (std::size_t i = 0; i < plain.steps.size(); ++i) {
      // Shares of two ranks, each rounded.
      if (std::abs(total(trace.steps[i]) - total(plain.steps[i])) > 64) return false;
    }
    return true;
  };
  const Trace megatron =
      read({file(interop("mcore_ep_loads_rank0.npz")), file(interop("mcore_ep_loads_rank1.npz"))});
  CHECK(near_plain(megatron));
  CHECK(megatron.header.layer_ids == std::vector<std::int64_t>{1, 2, 3, 4});
  CHECK(megatron.header.notes ==
        std::vector<std::string>{interop("mcore_ep_loads_rank0.npz") +
                                 " and 1 more: Megatron counts layers from 1: its layers 2 to 5 "
                                 "are 1 to 4"});
  const Trace passes =
      read({file(interop("sglang_per_pass_0.pt")), file(interop("sglang_per_pass_1.pt"))});
  CHECK(near_plain(passes));
  const std::string folder = interop("trtllm_expert_statistic");
  const Trace statistics =
      read({file(folder + "/meta_info.json"), file(folder + "/rank0.safetensors"),
            file(folder + "/rank1.safetensors")});
  CHECK(near_plain(statistics));
  CHECK(statistics.header.top_k == 4U);
  CHECK(statistics.header.layer_ids == std::vector<std::int64_t>{3, 4, 5, 6});
  CHECK(statistics.steps[0].step == 100);
  const Trace alone = read({file(folder + "/rank1.safetensors")});
  REQUIRE(alone.header.notes.size() == 1);
  CHECK(has(alone.header.notes[0], "rank 1 alone"));
}

TEST_CASE("CSV files of SGLang's first recorder leave out what is zero") {
  const std::vector<TraceInput> inputs = {file(interop("expert_distribution_rank0.csv")),
                                          file(interop("expert_distribution_rank1.csv"))};
  CHECK(has(fault_of(inputs), "`experts`"));
  const Trace trace = read(inputs, experts(16));
  REQUIRE(trace.steps.size() == 1);
  CHECK(trace.header.layer_ids == std::vector<std::int64_t>{3, 4, 5, 6});
  CHECK(row(trace.steps[0], 0)[0] == 534 + 580);
  CHECK(row(trace.steps[0], 0)[12] == 0);
  CHECK(has(fault_of({text("r_rank0.csv", "layer_id,expert_id,count\n0,4,1\n")}, experts(4)),
            "r_rank0.csv:2: expected an expert in 0 .. 3"));
  CHECK(has(fault_of({text("r_rank0.csv", "layer_id,expert_id,count\n0,1,1\n0,1,2\n")}, experts(4)),
            "r_rank0.csv:3"));
}

TEST_CASE("a key of a header that is nearly one of ours is named") {
  const std::string step =
      "\n"
      R"({"step":0,"load":[[1,2]]})";
  const auto notes = [&](const std::string& key) {
    return read({text("n", R"({"num_layers":1,"num_experts":2,")" + key + "\":[3]}" + step)})
        .header.notes;
  };
  REQUIRE(notes("layer_id").size() == 1);
  CHECK(has(notes("layer_id")[0], "did you mean 'layer_ids'"));
  CHECK(notes("comment").empty());
  CHECK(notes("layer_ids").empty());
}

TEST_CASE("loads that are not whole are scaled and rounded when asked") {
  for (const char* name :
       {"ewma_float32.npy", "ascend_hotness_float.pt", "sglang_fractional.json"}) {
    INFO(name);
    CHECK(has(fault_of({file(interop(name))}), "`scale-loads` 1000"));
    TraceReadOptions options;
    options.scale = 1000;
    const Trace trace = interop_trace(name, options);
    REQUIRE(trace.steps.size() == 1);
    CHECK(trace.header.num_experts == 16);
  }
  TraceReadOptions options;
  options.scale = 1000;
  CHECK(row(interop_trace("sglang_fractional.json", options).steps[0], 0)[0] == 556667);
}

TEST_CASE("MindIE's running totals become loads of experts") {
  const std::string config =
      R"({"num_moe_layers":1,"num_of_experts":4,"num_of_selected_expert":[2],)"
      R"("enable_dangling_shared_expert":true,"num_dangling_shared_experts":1,)"
      R"("eplb_expert_map_file":"/data/map.json"})";
  const std::string map =
      R"({"moe_layer_count":1,"layer_list":[{"layer_id":0,"device_count":2,"device_list":[)"
      R"({"device_id":0,"device_expert":[3,1,0]},{"device_id":1,"device_expert":[2,0,1]}]}]})";
  const std::vector<TraceInput> folder = {
      text("f/decode_0.csv", "900,900,900\n990,990,990\n1000,1000,1000\n"),
      text("f/decode_1.csv", "1,2,3\n11,12,13\n1,0,0\n"),
      text("f/decode_2.csv", "4,5,6\n5,6,7\n0,0,1\n"), text("f/map.json", map),
      text("f/model_gen_config.json", config)};
  const Trace trace = read(folder);
  REQUIRE(trace.steps.size() == 3);
  CHECK(trace.header.top_k == 2U);
  CHECK(trace.header.num_ranks == 2U);
  CHECK(row(trace.steps[0], 0) == std::vector<double>{3 + 5, 2 + 6, 4, 1});
  CHECK(row(trace.steps[1], 0) == std::vector<double>{10 + 1, 10 + 1, 1, 10});
  CHECK(row(trace.steps[2], 0) == std::vector<double>{0, 1, 0, 1});  // set back
  std::istringstream in(
      R"({"moe_layer_count":1,"layer_list":[{"layer_id":0,"device_count":3,"device_list":[)"
      R"({"device_id":0,"device_expert":[3,1]},{"device_id":1,"device_expert":[0,2]},)"
      R"({"device_id":2,"device_expert":[0,1]}]}]})");
  const PlacementFile of_three = read_placement(in, "m");
  TraceReadOptions told;
  told.map = &of_three;
  CHECK(has(fault_of(folder, told), "counts are of 2 devices, the expert map of 3"));
  const Trace simple =
      read({text("decode_0.csv", "1,2\n3,4\n"), text("decode_1.csv", "5,6\n7,8\n")});
  REQUIRE(simple.steps.size() == 1);
  CHECK(row(simple.steps[0], 1) == std::vector<double>{3, 4, 7, 8});
  CHECK(has(fault_of({text("decode_0.csv", "1\n"), text("prefill_0.csv", "1\n")}), "one phase"));
}

TEST_CASE("traces follow each other, and equal steps count once") {
  const std::string header = R"({"num_layers":1,"num_experts":2})"
                             "\n";
  const auto step = [](int number, const std::string& load) {
    return R"({"step":)" + std::to_string(number) + R"(,"load":[)" + load + "]}\n";
  };
  const auto a = text("a", header + step(0, "[1,2]") + step(1, "[3,4]"));
  const auto b = text("b", header + step(1, "[3,4]") + step(2, "[5,6]"));
  const auto restarted = text("c", header + step(0, "[9,9]") + step(1, "[8,8]"));
  const Trace joined = read({a, b});
  REQUIRE(joined.steps.size() == 3);
  CHECK(joined.steps[2].step == 2);
  CHECK(has(joined.header.notes.back(), "1 steps are in more than one file"));
  const Trace continued = read({a, restarted});
  REQUIRE(continued.steps.size() == 4);
  CHECK(continued.steps[3].step == 3);
  JoinOptions sort;
  sort.sort = true;
  CHECK(read({b, a}, {}, sort).steps.front().step == 0);
  CHECK(has(fault_of({a, restarted}, {}, sort), "step 0 is there twice"));
  JoinOptions sum;
  sum.sum_ranks = true;
  CHECK(row(read({a, restarted}, {}, sum).steps[1], 0) == std::vector<double>{11, 12});
  CHECK(has(fault_of({a, text("d", R"({"num_layers":2,"num_experts":2})")}),
            "d: expected 1 layers x 2 experts"));
}

TEST_CASE("running totals are told, also where the counter began anew") {
  const Trace totals = interop_trace("cumulative.json");
  const Trace plain = interop_trace("plain.json");
  CHECK(doubted(totals, "cumulative"));
  for (const std::size_t few : {2U, 3U}) {
    Trace start = totals;
    start.steps.resize(few);
    CHECK(doubted(start, "cumulative"));
    start = plain;
    start.steps.resize(few);
    CHECK_FALSE(doubted(start, "cumulative"));
  }
  CHECK_FALSE(doubted(plain, "cumulative"));
  Trace reset = totals;
  for (std::size_t i = 3; i < reset.steps.size(); ++i) {
    for (std::size_t k = 0; k < reset.steps[i].load.items().size(); ++k) {
      reset.steps[i].load.items()[k] -= totals.steps[2].load.items()[k];
    }
  }
  CHECK(doubted(reset, "cumulative"));
  const auto back = read_all(*differences_of(open_trace({file(interop("cumulative.json"))})));
  CHECK(same_loads(back, plain));
}

TEST_CASE("steps that repeat the loads of the step before are doubted") {
  Trace plain = interop_trace("plain.json");
  CHECK_FALSE(doubted(plain, "repeated_steps"));
  plain.steps.insert(plain.steps.begin() + 2, plain.steps[1]);
  CHECK(doubted(plain, "repeated_steps"));
  for (TraceStep& step : plain.steps)
    step.load = LoadMatrix(step.load.rows(), step.load.columns(), 3);
  CHECK_FALSE(doubted(plain, "repeated_steps"));
}

TEST_CASE("one layer that counts otherwise is named") {
  Trace trace = interop_trace("plain.json");
  for (TraceStep& step : trace.steps) {
    for (double& tokens : step.load.row(LayerId(2))) tokens *= 2;
  }
  trace.header.layer_ids = {3, 4, 61, 62};
  TraceDoubts doubts(trace.header);
  for (const TraceStep& step : trace.steps) doubts.add(step);
  bool said = false;
  for (const TraceWarning& warning : doubts.warnings()) {
    said |= warning.grave && has(warning.text, "layer 61 counts 2.00 times the tokens");
  }
  CHECK(said);
  CHECK_FALSE(doubted(interop_trace("plain.json"), "layer_counted_otherwise"));
  CHECK(doubted(interop_trace("shared_as_expert.jsonl"), "shared_expert"));
}

TEST_CASE("one layer of running totals is told as such, with what mends it") {
  Trace trace = interop_trace("plain.json");
  REQUIRE(trace.steps.size() > 3);
  for (std::size_t step = 1; step < trace.steps.size(); ++step) {
    const auto before = trace.steps[step - 1].load.row(LayerId(0));
    const auto now = trace.steps[step].load.row(LayerId(0));
    for (std::size_t i = 0; i < now.size(); ++i) now[i] += before[i];
  }
  TraceDoubts doubts(trace.header);
  for (const TraceStep& step : trace.steps) doubts.add(step);
  bool said = false;
  for (const TraceWarning& warning : doubts.warnings()) {
    CHECK_FALSE(has(warning.advice, "draft model"));
    said |= warning.kind == "layer_counted_otherwise" && has(warning.advice, "`differences`");
  }
  CHECK(said);
}

TEST_CASE("layers that count unequally throughout are a grave doubt, a step that was cut is none") {
  const auto grave = [](const Trace& trace) {
    TraceDoubts doubts(trace.header);
    for (const TraceStep& step : trace.steps) doubts.add(step);
    const auto found = doubts.warnings();
    return std::ranges::any_of(found, [](const TraceWarning& warning) {
      return warning.kind == "unequal_totals" && warning.grave;
    });
  };
  Trace cut = interop_trace("plain.json");
  for (double& tokens : cut.steps[0].load.row(LayerId(3))) tokens = std::floor(tokens * 0.9);
  CHECK_FALSE(grave(cut));
  Trace uneven = interop_trace("plain.json");
  for (TraceStep& step : uneven.steps) {
    for (const LayerId layer : step.load.row_ids()) {
      for (double& tokens : step.load.row(layer)) tokens *= static_cast<double>(layer.index() + 1);
    }
  }
  CHECK(grave(uneven));
}

TEST_CASE("layers and steps can be chosen, by the model's own numbers") {
  const auto reader =
      selection_of(open_trace({file(interop("layer_ids.jsonl"))}), {4, std::nullopt}, {}, "t");
  const Trace trace = read_all(*reader);
  CHECK(trace.header.layer_ids == std::vector<std::int64_t>{4});
  CHECK(row(trace.steps[0], 0) == std::vector<double>{2, 8, 6, 4});
  CHECK_THROWS_AS(selection_of(open_trace({file(interop("layer_ids.jsonl"))}), {0, 3}, {}, "t"),
                  InputError);
}

TEST_CASE("maps of every form are read") {
  const auto map_of = [](const std::string& name, PlacementHints hints = {}) {
    std::ifstream in(interop(name), std::ios::binary);
    if (!hints.num_ranks) hints.num_ranks = 4;
    return read_placement(in, name, hints);
  };
  const PlacementFile sglang = map_of("p2l_4ranks.json");
  const PlacementFile nested = map_of("trtllm_nested.yaml");
  CHECK(nested.placement == sglang.placement);
  CHECK(nested.layer_ids == std::vector<std::int64_t>{3, 4, 5, 6});
  PlacementHints two;
  two.num_ranks = 2;
  const PlacementFile list = map_of("vllm_initial_expert_map.json", two);
  CHECK(list.placement.layers() == 2);
  CHECK(list.placement.experts() == 4);
  two.num_layers = 3;
  const PlacementFile shared = map_of("vllm_initial_expert_map_shared.json", two);
  CHECK(shared.placement.layers() == 3);
  two.num_layers.reset();
  CHECK_THROWS_WITH(map_of("vllm_initial_expert_map_shared.json", two),
                    test::containing("`model`"));
  // vLLM's expert_map: [layers, ranks, experts] of slots.
  std::istringstream array(npy("1, 2, 4", {1, 0, -1, -1, -1, -1, 0, 1}));
  const PlacementFile local = read_placement(array, "e.npy");
  CHECK(local.placement.ranks() == 2);
  CHECK(local.placement.experts() == 4);
  const auto slots = local.placement.layer(LayerId(0));
  CHECK(std::vector<ExpertId>(slots.begin(), slots.end()) ==
        std::vector<ExpertId>{ExpertId(1), ExpertId(0), ExpertId(2), ExpertId(3)});
}

TEST_CASE("a map given as a trace, and a trace given as a map, say so") {
  CHECK(has(fault_of({file(interop("p2l_4ranks.json"))}), "this is a placement"));
  std::ifstream in(interop("plain.json"));
  CHECK_THROWS_WITH(read_placement(in, "plain.json"), test::containing("this is a load trace"));
}

TEST_CASE("an id beyond every model is refused before memory is asked for") {
  std::istringstream in(npy("1, 2", {0, 2'000'000'000}));
  PlacementHints hints;
  hints.num_ranks = 1;
  CHECK_THROWS_AS(read_placement(in, "id.npy", hints), InputError);
}
