// SPDX-License-Identifier: Apache-2.0
// Which order several files of one recording have.
#include "moeshift/formats/joined/natural_order.hpp"

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
