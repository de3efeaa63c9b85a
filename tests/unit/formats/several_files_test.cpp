// SPDX-License-Identifier: Apache-2.0
// Which order several files of one recording have.
#include "moeshift/formats/joined/natural_order.hpp"
#include "moeshift/formats/placement_format.hpp"

#include "tests/unit/formats/recorded.hpp"

using namespace moeshift;
using namespace moeshift::recorded;

namespace {

/// A neutral trace of one layer and two experts.
TraceInput numbered(const std::string& name, const std::vector<int>& steps, int load) {
  std::string lines = R"({"num_layers":1,"num_experts":2})"
                      "\n";
  for (const int step : steps) {
    lines += R"({"step":)" + std::to_string(step) + R"(,"load":[[)" + std::to_string(load + step) +
             ",1]]}\n";
  }
  return text(name, lines);
}

TraceInput unnumbered(const std::string& name, int load) {
  return text(name, R"({"logical_count":[[)" + std::to_string(load) + ",1]]}");
}

std::vector<std::int64_t> steps_of(const Trace& trace) {
  std::vector<std::int64_t> steps;
  for (const TraceStep& step : trace.steps) steps.push_back(step.step);
  return steps;
}

/// A CSV of SGLang's first recorder: expert 0 of layer 0.
TraceInput csv(int rank, const std::string& time, int load) {
  return text("d/expert_distribution_rank" + std::to_string(rank) + time + ".csv",
              "layer_id,expert_id,count\n0,0," + std::to_string(load) + "\n");
}

std::vector<double> first_loads(const Trace& trace) {
  std::vector<double> loads;
  for (const TraceStep& step : trace.steps) loads.push_back(row(step, 0)[0]);
  return loads;
}

}  // namespace

TEST_CASE("names are ordered by the values of their numbers") {
  const std::vector<std::string> ordered = {"a",
                                            "a/9.npy",
                                            "a/10.npy",
                                            "a1",
                                            "a01b",
                                            "a2",
                                            "a10",
                                            "a10b2",
                                            "a10b10",
                                            "b",
                                            "b100000000000000000000000000000",
                                            "b200000000000000000000000000000"};
  for (std::size_t i = 0; i < ordered.size(); ++i) {
    for (std::size_t j = 0; j < ordered.size(); ++j) {
      CAPTURE(ordered[i], ordered[j]);
      CHECK(natural_before(ordered[i], ordered[j]) == (i < j));
    }
  }
  CHECK(natural_before("a01", "a1") != natural_before("a1", "a01"));
}

TEST_CASE("a file whose own steps lie before those of the one before is doubted, not renumbered") {
  const Trace back = read({numbered("t5", {50, 51}, 0), numbered("t2", {20, 21}, 0)});
  CHECK(steps_of(back) == std::vector<std::int64_t>{50, 51, 20, 21});
  CHECK(doubted(back, "step_order"));
  const Trace sorted = read({numbered("t5", {50, 51}, 0), numbered("t2", {20, 21}, 0)}, {},
                            {.sum_ranks = false, .sort = true});
  CHECK(steps_of(sorted) == std::vector<std::int64_t>{20, 21, 50, 51});
  const Trace anew = read({numbered("a", {0, 1}, 0), numbered("b", {0, 1}, 7)});
  CHECK(steps_of(anew) == std::vector<std::int64_t>{0, 1, 2, 3});
  CHECK(!doubted(anew, "step_order"));
}

TEST_CASE("steps without numbers read in the order of a shell are said to be") {
  const Trace shell = read({unnumbered("p1", 1), unnumbered("p10", 10), unnumbered("p2", 2)});
  REQUIRE(shell.header.notes.size() == 1);
  CHECK(has(shell.header.notes[0], "p10 is read before p2, in the order given"));
  CHECK(
      read({unnumbered("p1", 1), unnumbered("p2", 2), unnumbered("p10", 10)}).header.notes.empty());
  CHECK(
      read({unnumbered("p10", 1), unnumbered("p2", 2), unnumbered("p1", 3)}).header.notes.empty());
}

TEST_CASE("CSV dumps of ranks are paired and ordered by the times in their names") {
  // In the order of characters, and each rank writes a little later than the one before.
  const Trace trace = read(
      {csv(0, "_timestamp10.5", 2), csv(0, "_timestamp100.25", 3), csv(0, "_timestamp9.5", 1),
       csv(1, "_timestamp10.75", 20), csv(1, "_timestamp100.4", 30), csv(1, "_timestamp9.8", 10)},
      experts(2));
  CHECK(first_loads(trace) == std::vector<double>{11, 22, 33});
  CHECK(trace.header.notes.empty());
  const Trace equal = read({csv(0, "_timestamp1", 5), csv(0, "_timestamp2", 5),
                            csv(1, "_timestamp1", 1), csv(1, "_timestamp2", 2)},
                           experts(2));
  CHECK(first_loads(equal) == std::vector<double>{6, 7});
}

TEST_CASE("a dump that a rank has no CSV of is left out and named") {
  const Trace trace =
      read({csv(0, "_timestamp0", 1), csv(0, "_timestamp60", 2), csv(0, "_timestamp120", 3),
            csv(1, "_timestamp1", 10), csv(1, "_timestamp121", 30)},
           experts(2));
  CHECK(first_loads(trace) == std::vector<double>{11, 33});
  REQUIRE(trace.header.notes.size() == 2);
  CHECK(has(trace.header.notes[0], "rank 1 has no file near timestamp 60"));
  CHECK(has(trace.header.notes[1], "1 steps are not in the files of all 2 ranks"));
}

TEST_CASE("CSV dumps without comparable times are paired by order, or refused") {
  const Trace unnamed =
      read({csv(0, "_a", 1), csv(0, "_b", 2), csv(1, "_a", 10), csv(1, "_b", 20)}, experts(2));
  CHECK(first_loads(unnamed) == std::vector<double>{11, 22});
  REQUIRE(unnamed.header.notes.size() == 1);
  CHECK(has(unnamed.header.notes[0], "the i-th files of all ranks are taken for one dump"));
  const Trace skewed = read({csv(0, "_timestamp0", 1), csv(0, "_timestamp60", 2),
                             csv(1, "_timestamp1030", 10), csv(1, "_timestamp1090", 20)},
                            experts(2));
  CHECK(first_loads(skewed) == std::vector<double>{11, 22});
  CHECK(has(skewed.header.notes.at(0), "times in their names are too far apart"));
  CHECK(has(fault_of({csv(0, "_a", 1), csv(0, "_b", 2), csv(1, "_a", 10)}, experts(2)),
            "rank 1 has 1 files, rank 0 has 2, and their names have no timestamp"));
}

TEST_CASE("TensorRT-LLM's statistics of some ranks of ep_size are said to be that") {
  const std::string folder = interop("trtllm_expert_statistic");
  const auto notes = [&](const std::string& meta, int files) {
    std::vector<TraceInput> inputs{text("t/meta_info.json", meta)};
    for (int rank = 0; rank < files; ++rank) {
      inputs.push_back(file(folder + "/rank" + std::to_string(rank) + ".safetensors"));
    }
    return read(inputs).header.notes;
  };
  const std::string eight = R"({"num_experts":16,"num_experts_per_token":4,"ep_size":8})";
  REQUIRE(notes(eight, 2).size() == 1);
  CHECK(has(notes(eight, 2)[0], "these are the tokens of 2 of 8 ranks"));
  REQUIRE(notes(eight, 1).size() == 2);
  CHECK(has(notes(eight, 1)[0], "rank 0 alone"));
  CHECK(has(notes(eight, 1)[1], "1 of 8 ranks"));
  CHECK(notes(R"({"num_experts":16,"ep_size":2})", 2).empty());
  CHECK(notes(R"({"num_experts":16})", 2).empty());
  CHECK(has(fault_of({text("t/meta_info.json", R"({"num_experts":16,"ep_size":1})"),
                      file(folder + "/rank0.safetensors"), file(folder + "/rank1.safetensors")}),
            "says ep_size 1, but 2 ranks have statistics"));
}

namespace {

/// One step of one expert pair, 10 * layer tokens, under these layer numbers.
TraceInput layered(const std::string& name, const std::vector<int>& ids,
                   const std::string& more = "") {
  std::string numbers;
  std::string rows;
  for (const int id : ids) {
    numbers += (numbers.empty() ? "" : ",") + std::to_string(id);
    rows += (rows.empty() ? "[" : ",[") + std::to_string(10 * id) + ",1]";
  }
  return text(name, R"({"num_layers":)" + std::to_string(ids.size()) + R"(,"num_experts":2)" +
                        (numbers.empty() ? "" : R"(,"layer_ids":[)" + numbers + "]") + more +
                        "}\n" + R"({"step":0,"load":[)" + rows + "]}\n");
}

const JoinOptions kSum{.sum_ranks = true};

TraceInput described(const std::string& name, int step, const std::string& more) {
  return text(name, R"({"num_layers":1,"num_experts":8)" + more + "}\n" + R"({"step":)" +
                        std::to_string(step) + R"(,"load":[[1,2,3,4,5,6,7,8]]})" + "\n");
}

/// MindIE's folder of two devices; `counts` of the second are its lines.
std::vector<TraceInput> mindie(const std::string& config, const std::string& second) {
  return {
      text("f/decode_0.csv", "1000,2000\n1010,2003\n1011,2009\n"), text("f/decode_1.csv", second),
      text("f/model_gen_config.json", R"({"num_moe_layers":1,"num_of_experts":4)" + config + "}")};
}

}  // namespace

TEST_CASE("files of ranks that number the same layers in another order have these layers") {
  const Trace swapped = read({layered("a", {3, 4, 5}), layered("b", {5, 3, 4})}, {}, kSum);
  CHECK(swapped.header.layer_ids == std::vector<std::int64_t>{3, 4, 5});
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(row(swapped.steps.at(0), i) == std::vector<double>{20. * (3. + double(i)), 2});
  }
  const Trace falling = read({layered("a", {5, 4}), layered("b", {4, 5})}, {}, kSum);
  CHECK(falling.header.layer_ids == std::vector<std::int64_t>{5, 4});
  CHECK(row(falling.steps.at(0), 0)[0] == 100);
  const Trace stages =
      read({layered("a", {6, 5}), layered("b", {3, 5}), layered("c", {4, 3})}, {}, kSum);
  CHECK(stages.header.layer_ids == std::vector<std::int64_t>{3, 4, 5, 6});
  CHECK(row(stages.steps.at(0), 2)[0] == 100);
}

TEST_CASE("files of which only some number their layers are of the same layers, which is said") {
  const TraceInput plain = text("p", R"({"num_layers":2,"num_experts":2})"
                                     "\n"
                                     R"({"step":0,"load":[[7,0],[8,0]]})"
                                     "\n");
  for (const auto& inputs :
       {std::vector{plain, layered("b", {5, 4})}, {layered("b", {5, 4}), plain}}) {
    const Trace sum = read(inputs, {}, kSum);
    CHECK(sum.header.layer_ids == std::vector<std::int64_t>{5, 4});
    CHECK(row(sum.steps.at(0), 0)[0] == 58);
    CHECK(has(all_notes(sum), "in order"));
    const Trace both = read(inputs);
    const std::size_t plain_at = inputs.front().name == "p" ? 0 : 1;
    CHECK(both.header.layer_ids == std::vector<std::int64_t>{5, 4});
    CHECK(row(both.steps.at(plain_at), 0)[0] == 8);
    CHECK(row(both.steps.at(1 - plain_at), 0)[0] == 50);
  }
}

TEST_CASE("files after each other may name the same layers in any order") {
  for (const bool sort : {false, true}) {
    const Trace both = read({layered("a", {5, 3, 4}), layered("b", {3, 4, 5})}, {}, {.sort = sort});
    CHECK(both.header.layer_ids == std::vector<std::int64_t>{5, 3, 4});
    REQUIRE(both.steps.size() == 1);  // the same step, with equal loads
    CHECK(row(both.steps[0], 0)[0] == 50);
  }
  CHECK(has(fault_of({layered("a", {5, 3}), layered("b", {3, 4})}), "other layer_ids"));
}

TEST_CASE("files that contradict each other in any key of the header are refused") {
  for (const char* key :
       {"top_k", "num_expert_groups", "num_ranks", "num_nodes", "num_hidden_layers"}) {
    INFO(key);
    const auto says = [&](int value) {
      return ",\"" + std::string(key) + "\":" + std::to_string(value);
    };
    for (const JoinOptions& how : {JoinOptions{}, kSum, JoinOptions{.sort = true}}) {
      CHECK(has(fault_of({described("a", 0, says(4)), described("b", 1, says(8))}, {}, how),
                "b: expected 4"));
      CHECK(fault_of({described("a", 0, says(4)), described("b", 1, "")}, {}, how).empty());
    }
  }
  const Trace late = read({described("a", 0, ""), described("b", 1, R"(,"num_hidden_layers":61)")});
  CHECK(late.header.num_hidden_layers == 61U);
  const Trace slots =
      read({described("a", 0, R"(,"num_slots":8)"), described("b", 1, R"(,"num_slots":9)")});
  CHECK(slots.header.num_slots == 8U);
  CHECK(has(all_notes(slots), "b was recorded with 9 slots"));
  const Trace keys = read({described("a", 0, R"(,"engine":"x","licence":"L")"),
                           described("b", 1, R"(,"engine":"y","gpu":"z","licence":"M")")});
  CHECK(has(all_notes(keys), "another \"engine\""));
  CHECK(has(all_notes(keys), "licence 'M'"));
  CHECK(has(keys.header.other_json, "\"gpu\":\"z\""));
}

TEST_CASE(
    "files named as of two ranks, with steps of the same numbers, are said to be read in a row") {
  const auto joined = [](const std::string& a, const std::string& b, int second_load) {
    return all_notes(read({numbered(a, {0, 1}, 0), numbered(b, {0, 1}, second_load)}));
  };
  for (const auto& [a, b] : {std::pair("n_rank0.jsonl", "n_rank1.jsonl"),
                             {"x_r0", "x_r1"},
                             {"dp0/l", "dp1/l"},
                             {"l-ep-0.json.gz", "l-ep-1.json.gz"},
                             {"GPU0", "GPU1"},
                             {"dpRank=3_t17", "dpRank=4_t99"},
                             {"worker_0", "worker_1"}}) {
    INFO(a);
    CHECK(has(joined(a, b, 7), "`sum-ranks`"));
    CHECK_FALSE(has(joined(a, b, 0), "`sum-ranks`"));  // equal loads count once, which is said
  }
  for (const auto& [a, b] :
       {std::pair("step1", "step2"), {"part0_rank0", "part1_rank0"}, {"r", "r1"}, {"pp0", "pp1"}}) {
    INFO(a);
    CHECK_FALSE(has(joined(a, b, 7), "`sum-ranks`"));
  }
  const Trace apart = read({numbered("rank0", {0, 1}, 0), numbered("rank1", {2, 3}, 7)});
  CHECK(apart.header.notes.empty());
}

TEST_CASE("MindIE's map that the configuration names and nobody gave is asked for") {
  const std::string counts = "30,40\n31,42\n33,45\n";
  const std::string named = R"(,"eplb_expert_map_file":"/data/maps/map.json")";
  CHECK(has(fault_of(mindie(named, counts)), "map.json"));
  CHECK(has(fault_of(mindie(named, counts)), "expected `map`"));
  CHECK_FALSE(fault_of(mindie(R"(,"eplb_expert_map_file":3)", counts)).empty());
  for (const char* none :
       {"", R"(,"eplb_expert_map_file":null)", R"(,"eplb_expert_map_file":"")"}) {
    const Trace trace = read(mindie(none, counts));
    CHECK(row(trace.steps.at(1), 0) == std::vector<double>{10, 3, 1, 2});
    CHECK(has(all_notes(trace), "slot i is taken for expert i"));
  }
}

TEST_CASE("MindIE's map is held to the devices, and no load is lost in an empty slot") {
  const std::string named = R"(,"eplb_expert_map_file":"map.json")";
  const auto with_map = [&](const std::string& devices, const std::string& count) {
    auto inputs = mindie(named, "30,40\n31,42\n33,45\n");
    inputs.push_back(
        text("f/map.json", R"({"moe_layer_count":1,"layer_list":[{"layer_id":3,"device_count":)" +
                               count + R"(,"device_list":[)" + devices + "]}]}"));
    return inputs;
  };
  const auto device = [](int id, const std::string& experts) {
    return R"({"device_id":)" + std::to_string(id) + R"(,"device_expert":[)" + experts + "]}";
  };
  const Trace trace = read(with_map(device(0, "3,1") + "," + device(1, "0,2"), "2"));
  CHECK(row(trace.steps.at(1), 0) == std::vector<double>{1, 3, 2, 10});
  CHECK(trace.header.layer_ids == std::vector<std::int64_t>{3});
  CHECK(has(fault_of(with_map(device(0, "3,1,0,2"), "1")), "map.json: is of 1 devices"));
  CHECK(has(fault_of(with_map(device(0, "3,1") + "," + device(1, "0"), "2")), "empty"));
}

TEST_CASE("MindIE's lines are the model's layers in order, whatever order the map names them in") {
  const auto under = [](const std::string& ids, const std::string& rows) {
    std::istringstream in(
        R"({"schema":"moeshift.plan/2","result":{"placement":{"num_experts":2,"num_ranks":1,)"
        R"("layer_ids":[)" +
        ids + R"(],"physical_to_logical":[)" + rows + "]}}}");
    const PlacementFile map = read_placement(in, "m", {});
    TraceReadOptions options;
    options.map = &map;
    return read({text("f/decode_0.csv", "1,2,3\n4,5,6\n"),
                 text("f/model_gen_config.json", R"({"num_moe_layers":2,"num_of_experts":2})")},
                options);
  };
  const Trace up = under("3,5", "[0,1,1],[1,0,0]");
  const Trace down = under("5,3", "[1,0,0],[0,1,1]");
  CHECK(same_loads(up, down));
  CHECK(down.header.layer_ids == std::vector<std::int64_t>{3, 5});
  CHECK(has(all_notes(down), "the map has layers 5, 3"));
  CHECK_FALSE(has(all_notes(up), "the map has layers"));
}

TEST_CASE("MindIE's devices of unlike numbers of passes are read as far as all go, which is said") {
  const Trace trace = read(mindie("", "30,40\n31,42\n"));
  CHECK(trace.steps.size() == 2);
  CHECK(has(all_notes(trace), "2 to 3"));
  CHECK_FALSE(has(all_notes(read(mindie("", "30,40\n31,42\n33,45\n"))), "passes ("));
}

TEST_CASE("the first of MindIE's totals is said to hold all that was counted before") {
  CHECK(has(all_notes(read(mindie("", "30,40\n31,42\n33,45\n"))), "3070 against at most 16"));
}

TEST_CASE("records of two ranks under different maps are not added up") {
  const auto record = [](const std::string& name, const std::string& map) {
    return text(name, R"({"record_type":"eplb_load_stats","version":1,"step":0,"num_ranks":2,)"
                      R"("expert_load":[[1,2,3,4]],"p2l_map":)" +
                          map + "}\n");
  };
  const Trace sum = read({record("a", "[[0,1,2,0]]"), record("b", "[[0,1,2,0]]")}, {}, kSum);
  CHECK(row(sum.steps.at(0), 0) == std::vector<double>{10, 4, 6});
  CHECK(has(fault_of({record("a", "[[0,1,2,0]]"), record("b", "[[1,0,2,0]]")}, {}, kSum),
            "b: step 0 has another map of slots than in a"));
}
