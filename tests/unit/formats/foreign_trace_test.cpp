// SPDX-License-Identifier: Apache-2.0
// Traces in the formats of other systems.
#include <fstream>
#include <sstream>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/trace_format.hpp"

#include "tests/support/catch.hpp"

using namespace moeshift;

namespace {

struct Trace {
  TraceHeader header;
  std::vector<TraceStep> steps;
};

Trace read(const std::string& text, std::string_view format = "auto") {
  std::istringstream in(text);
  const auto reader = open_trace(in, "x", format);
  Trace trace{reader->header(), {}};
  TraceStep step;
  while (reader->next(step)) trace.steps.push_back(step);
  return trace;
}

std::string fault_of(const std::string& text) {
  try {
    static_cast<void>(read(text));
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

std::string write(const Trace& trace, std::string_view format) {
  std::ostringstream out;
  const auto writer = trace_format(format).create(out, trace.header);
  for (const TraceStep& step : trace.steps) writer->write(step);
  writer->finish();
  return out.str();
}

std::vector<double> row(const TraceStep& step, std::size_t layer) {
  const auto items = step.load.row(LayerId(layer));
  return {items.begin(), items.end()};
}

std::string stats(const std::string& load, const std::string& map, int step = 3) {
  return R"({"record_type":"eplb_load_stats","version":1,"step":)" + std::to_string(step) +
         R"(,"num_ranks":1,"expert_load":)" + load + R"(,"p2l_map":)" + map + "}\n";
}

/// A .npy file as NumPy writes it.
std::string npy(const std::string& dictionary, const std::string& data) {
  std::string header = dictionary + "\n";
  return std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(header.size()) + '\0' + header +
         data;
}

Trace sample() {
  Trace trace;
  trace.header.num_layers = 2;
  trace.header.num_experts = 3;
  for (int t = 0; t < 3; ++t) {
    TraceStep step;
    step.step = t;
    step.load = LoadMatrix(2, 3);
    for (std::size_t i = 0; i < 6; ++i)
      step.load.items()[i] = static_cast<double>(10 * t) + double(i);
    trace.steps.push_back(step);
  }
  return trace;
}

}  // namespace

TEST_CASE("every trace format gives back the loads that it was given") {
  const Trace trace = sample();
  for (const TraceFormat& format : trace_formats()) {
    if (format.create == nullptr) continue;
    INFO("format " << format.name);
    const Trace again = read(write(trace, format.name));
    CHECK(again.header.num_layers == 2);
    CHECK(again.header.num_experts == 3);
    REQUIRE(again.steps.size() == trace.steps.size());
    for (std::size_t t = 0; t < trace.steps.size(); ++t) {
      CHECK(again.steps[t].load == trace.steps[t].load);
      CHECK(again.steps[t].step == trace.steps[t].step);
    }
  }
}

TEST_CASE("vLLM statistics fold physical loads onto experts") {
  const Trace trace = read(R"({"record_type":"session_metadata","model":"m","layers":[1]})"
                           "\n" +
                           stats("[[1,2,3,4]]", "[[0,2,1,0]]") +
                           R"({"record_type":"bench_run_start"})"
                           "\n" +
                           stats("[]", "[]") + stats("[[5,6,0,7]]", "[[2,1,-1,0]]", 4));
  CHECK(trace.header.num_experts == 3);
  REQUIRE(trace.steps.size() == 2);
  CHECK(row(trace.steps[0], 0) == std::vector<double>{5, 3, 2});
  CHECK(row(trace.steps[1], 0) == std::vector<double>{7, 6, 5});
  CHECK(trace.steps[0].step == 3);
  CHECK(trace.steps[0].other_json == R"({"num_ranks":1})");
  CHECK_FALSE(trace.header.num_ranks);  // a world of one rank is what loads of experts come as
}

TEST_CASE("vLLM statistics that contradict themselves are refused") {
  CHECK(fault_of(stats("[[1,2,3]]", "[[0,2,1,0]]")) ==
        "x:1#/expert_load/0: expected 4 loads, got 3");
  CHECK(fault_of(stats("[[1,2]]", "[[0,-1]]")) ==
        "x:1#/p2l_map/0/1: expected no load in a slot that holds no expert");
  CHECK(fault_of(stats("[[1,2]]", "[[0,1]]") + stats("[[1,2]]", "[[0,2]]")) ==
        "x:2#/p2l_map/0/1: expected an expert below 2");
  CHECK(fault_of(stats("[[1,2]]", "[[0,-2]]")).find("x:1#/p2l_map/0/1: ") == 0);
  CHECK(fault_of(stats("[[1,2],[1,2]]", "[[0,1],[0]]")) ==
        "x:1#/p2l_map/1: expected 2 slots, got 1");
  CHECK(fault_of(stats("[[1,2]]", "[]")).find("x:1#/p2l_map") == 0);
  CHECK(fault_of(stats("[[1,2]]", "[[]]")).find("x:1#/p2l_map") == 0);
  CHECK(fault_of(R"({"record_type":"session_metadata"})").find("eplb_load_stats") !=
        std::string::npos);
  CHECK(fault_of(R"({"record_type":"eplb_load_stats","version":2,"step":1})") ==
        "x:1#/version: expected version 1");
}

TEST_CASE("SGLang counts are read with and without a step dimension") {
  const Trace many = read(R"({"rank": 0, "logical_count": [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]})");
  REQUIRE(many.steps.size() == 2);
  CHECK(row(many.steps[1], 0) == std::vector<double>{5, 6});
  CHECK(many.header.other_json == R"({"rank":0})");
  const Trace one = read("{\n\"logical_count\":\n[[1,2],[3,4]]}\n");
  REQUIRE(one.steps.size() == 1);
  CHECK(row(one.steps[0], 1) == std::vector<double>{3, 4});
}

TEST_CASE("bad SGLang counts are refused with their pointer") {
  CHECK(fault_of(R"({"logical_count":[[1,2],[3]]})") ==
        "x#/logical_count/1: expected 2 loads, got 1");
  CHECK(fault_of(R"({"logical_count":[[[1,2]],[[3,-4]]]})").find("x#/logical_count/1/0/1: ") == 0);
  CHECK(fault_of(R"({"logical_count":[]})") == "x#/logical_count: expected a filled array");
  CHECK(fault_of(R"({"logical_count":[[]]})") == "x#/logical_count/0: expected a filled array");
  CHECK(fault_of(R"({"logical_count":[[[1,2]],7]})").find("x#/logical_count/1: ") == 0);
  CHECK(fault_of(R"({"logical_count":3})") == "x#/logical_count: expected an array");
  CHECK(fault_of(R"({"logical_count":[[1,2],)").find("x: not valid JSON") == 0);
}

TEST_CASE("npy loads of every plain type are read") {
  const Trace bytes = read(
      npy("{'descr': '|u1', 'fortran_order': False, 'shape': (1, 2, 2), }", "\x01\x02\x03\xff"));
  REQUIRE(bytes.steps.size() == 1);
  CHECK(row(bytes.steps[0], 1) == std::vector<double>{3, 255});
  const Trace big = read(npy("{'descr': '>i2', 'fortran_order': False, 'shape': (1, 2), }",
                             std::string("\x00\x01\x01\x00", 4)));
  CHECK(row(big.steps[0], 0) == std::vector<double>{1, 256});
  const Trace real = read(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1), }",
                              std::string("\x00\x00\x80\x40", 4)));
  CHECK(row(real.steps[0], 0) == std::vector<double>{4});
}

TEST_CASE("bad npy files are refused") {
  const std::string good = "{'descr': '<i2', 'fortran_order': False, 'shape': (2, 1, 1), }";
  CHECK(fault_of(npy(good, "\x01")) == "x#/0/0: the file is truncated");
  CHECK(fault_of(npy(good, std::string("\x01\x00\xfe\xff", 4))) ==
        "x#/1/0/0: expected a whole number in [0, 2^53]");
  CHECK(fault_of(npy(good, std::string("\x01\x00\x01\x00\x00", 5))) ==
        "x: expected the file to end after its array");
  CHECK(fault_of(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1), }",
                     std::string("\x00\x00\xc0\x7f", 4)))
            .find("x#/0/0/0: ") == 0);
  for (const std::string bad :
       {"{'descr': '<c8', 'fortran_order': False, 'shape': (1, 1), }",
        "{'descr': [('a', '<i4')], 'fortran_order': False, 'shape': (1, 1), }",
        "{'descr': '<i4', 'fortran_order': True, 'shape': (1, 1), }",
        "{'descr': '<i4', 'fortran_order': False, 'shape': (4,), }",
        "{'descr': '<i4', 'fortran_order': False, 'shape': (1, 0), }",
        "{'descr': '<i4', 'fortran_order': False, 'shape': (-1, 1), }",
        "{'descr': '<i4', 'fortran_order': False, 'shape': (1, 99999999999999999999), }",
        "{'descr': '<i4', 'fortran_order': False, 'shape': (100000, 100000), }",
        "{'descr': '<i4', 'fortran_order': False}", "", "{'shape'"}) {
    INFO(bad);
    CHECK(fault_of(npy(bad, "")).find("x#/header: ") == 0);
  }
}

TEST_CASE("an npy trace can be written to a pipe") {
  struct Pipe final : std::streambuf {
    std::string text;
    int_type overflow(int_type c) override {
      text += static_cast<char>(c);
      return c;
    }
  } pipe;
  std::ostream out(&pipe);
  const Trace trace = sample();
  const auto writer = trace_format("npy").create(out, trace.header);
  for (const TraceStep& step : trace.steps) writer->write(step);
  writer->finish();
  CHECK(pipe.text == write(trace, "npy"));
}

TEST_CASE("a writer refuses what its format cannot say") {
  Trace trace = sample();
  trace.steps[1].load(LayerId(0), ExpertId(0)) = 0.5;
  CHECK_THROWS_AS(write(trace, "neutral"), InputError);
  trace.steps[1].load = LoadMatrix(1, 3);
  CHECK_THROWS_AS(write(trace, "vllm"), InputError);
}
