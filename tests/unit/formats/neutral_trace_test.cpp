// SPDX-License-Identifier: Apache-2.0
#include <fstream>
#include <sstream>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/trace_format.hpp"

#include "tests/support/catch.hpp"

using namespace moeshift;

namespace {

const std::string kHeader = R"({"model":"m","num_layers":2,"num_experts":3,"top_k":1})";

/// Reads everything; the message of the InputError, or "" when it reads well.
std::string fault_of(const std::string& text) {
  std::istringstream in(text);
  try {
    const auto reader = open_trace(in, "t.jsonl", "neutral");
    TraceStep step;
    while (reader->next(step)) {
    }
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

std::string step_fault(const std::string& step) {
  return fault_of(kHeader + "\n" + step + "\n");
}

std::string rewritten(const std::string& text) {
  std::istringstream in(text);
  const auto reader = open_trace(in, "t.jsonl");
  std::ostringstream out;
  const auto writer = trace_format("neutral").create(out, reader->header());
  TraceStep step;
  while (reader->next(step)) writer->write(step);
  writer->finish();
  return out.str();
}

}  // namespace

TEST_CASE("a neutral trace yields its header and its steps") {
  std::istringstream in(kHeader + "\n" + R"({"step":4,"load":[[1,2,3],[4,5,6]],"label":"x"})" +
                        "\r\n\n" + R"({"load":[[0,0,9007199254740992],[3.0,1,1]],"step":5})");
  const auto reader = open_trace(in, "t.jsonl");
  CHECK(reader->header().model == "m");
  CHECK(reader->header().num_layers == 2);
  CHECK(reader->header().top_k == 1U);
  TraceStep step;
  REQUIRE(reader->next(step));
  CHECK(step.step == 4);
  CHECK(step.label == "x");
  CHECK(step.load(LayerId(1), ExpertId(2)) == 6);
  REQUIRE(reader->next(step));
  CHECK(step.step == 5);
  CHECK_FALSE(step.label.has_value());
  CHECK(step.load(LayerId(0), ExpertId(2)) == 0x1p53);
  CHECK_FALSE(reader->next(step));
}

TEST_CASE("unknown keys of header and steps survive a round trip byte for byte") {
  const std::string text =
      R"({"model":"m","num_layers":1,"num_experts":2,"top_k":1,"num_expert_groups":2,)"
      R"("layer_ids":[3],"source":"s","licence":"l","note":{"a":[1.5,null,"é/\n"]},"phase":"p"})"
      "\n"
      R"({"step":7,"load":[[1,2]],"label":"q\"","time":1.25,"more":{"k":[true]}})"
      "\n";
  CHECK(rewritten(text) == text);
  CHECK(rewritten(rewritten(text)) == text);
}

TEST_CASE("a real recording survives a round trip") {
  std::ifstream file(test::shared_path("traces/olmoe_1b_7b_domains.jsonl"));
  std::stringstream text;
  text << file.rdbuf();
  const std::string once = rewritten(text.str());
  CHECK(rewritten(once) == once);
  CHECK(once.substr(once.find('\n')) == text.str().substr(text.str().find('\n')));
}

TEST_CASE("bad headers are refused with line and pointer") {
  CHECK(fault_of("") == "t.jsonl:1: the file is empty; expected the header of a trace");
  CHECK(fault_of("\n \n").find("the file is empty") != std::string::npos);
  CHECK(fault_of("[]") == "t.jsonl:1#: expected an object");
  CHECK(fault_of(R"({"num_layers":2})") == "t.jsonl:1#: expected the key \"num_experts\"");
  CHECK(fault_of(R"({"num_layers":0,"num_experts":2})").find("t.jsonl:1#/num_layers: expected") ==
        0);
  CHECK(fault_of(R"({"num_layers":100000,"num_experts":1000000})").find("/num_experts") !=
        std::string::npos);
  CHECK(fault_of(R"({"num_layers":1,"num_experts":2,"layer_ids":[1,2]})") ==
        "t.jsonl:1#/layer_ids: expected 1 layer numbers, got 2");
  CHECK(fault_of(R"({"num_layers":2,"num_experts":2,"num_hidden_layers":1})")
            .find("t.jsonl:1#/num_hidden_layers: expected at least the 2 layers") == 0);
  CHECK(fault_of(R"({"num_layers":1,"num_layers":1,"num_experts":2})")
            .find("key \"num_layers\" appears twice") != std::string::npos);
  CHECK(fault_of(R"({"num_layers":1,"num_experts":2,"note":{"a":1,"a":2}})")
            .find("key \"a\" appears twice") != std::string::npos);
  CHECK(fault_of(R"({"num_layers":1,"num_experts":2,"top_k":3})").find("/top_k") !=
        std::string::npos);
}

TEST_CASE("bad loads are refused with line and pointer") {
  CHECK(step_fault(R"({"step":0,"load":[[1,2,3],[4,-5,6]]})") ==
        "t.jsonl:2#/load/1/1: expected a whole number in [0, 2^53]");
  for (const std::string bad :
       {"9007199254740993", "18446744073709551615", "1e20", "\"1\"", "null", "true", "[1]"}) {
    CHECK(step_fault(R"({"step":0,"load":[[1,2,)" + bad + "],[4,5,6]]}") ==
          "t.jsonl:2#/load/0/2: expected a whole number in [0, 2^53]");
  }
  CHECK(step_fault(R"({"step":0,"load":[[1,2,1.5],[4,5,6]]})") ==
        "t.jsonl:2#/load/0/2: expected a whole number in [0, 2^53], got 1.5; `scale-loads` 1000 "
        "multiplies loads and rounds them");
  CHECK(step_fault(R"({"step":0,"load":[[1,2],[4,5,6]]})") ==
        "t.jsonl:2#/load/0: expected 3 loads, got 2");
  CHECK(step_fault(R"({"step":0,"load":[[1,2,3,4],[4,5,6]]})") ==
        "t.jsonl:2#/load/0: expected 3 loads, got more");
  CHECK(step_fault(R"({"step":0,"load":[[1,2,3]]})") ==
        "t.jsonl:2#/load: expected 2 layers, got 1");
  CHECK(step_fault(R"({"step":0,"load":[[1,2,3],[1,2,3],[]]})") ==
        "t.jsonl:2#/load: expected 2 layers, got more");
  CHECK(step_fault(R"({"step":0,"load":3})") == "t.jsonl:2#/load: expected an array");
  CHECK(step_fault(R"({"step":0,"load":[1,2]})") ==
        "t.jsonl:2#/load/0: expected an array of 3 loads");
}

TEST_CASE("bad steps are refused with line and pointer") {
  CHECK(step_fault(R"({"load":[[1,2,3],[4,5,6]]})") == "t.jsonl:2#: expected the key \"step\"");
  CHECK(step_fault(R"({"step":1})") == "t.jsonl:2#: expected the key \"load\"");
  CHECK(step_fault(R"({"step":-1,"load":[[1,2,3],[4,5,6]]})").find("t.jsonl:2#/step: ") == 0);
  CHECK(step_fault(R"({"step":1,"label":3,"load":[[1,2,3],[4,5,6]]})") ==
        "t.jsonl:2#/label: expected a string");
  CHECK(step_fault(R"({"step":1,"step":1,"load":[[1,2,3],[4,5,6]]})") ==
        "t.jsonl:2#: key \"step\" appears twice in one object");
  for (const std::string bad :
       {R"({"step":0,"load":[[1,2,3],[4,5)", "{", "{}x", "nonsense",
        R"({"step":0,"load":[[1,2,1e999],[4,5,6]]})", R"({"step":0,"load":[[1,2,NaN],[4,5,6]]})"}) {
    CHECK(step_fault(bad).find("t.jsonl:2: not valid JSON: ") == 0);
  }
}

TEST_CASE("a file of no known format is refused by name") {
  std::istringstream in("hello\n");
  CHECK_THROWS_AS(open_trace(in, "x"), InputError);
  CHECK_THROWS_AS(trace_format("neutrla"), InputError);
}
