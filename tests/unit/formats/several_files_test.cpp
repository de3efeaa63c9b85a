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
