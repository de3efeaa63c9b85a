// SPDX-License-Identifier: Apache-2.0
#include "moeshift/trace/window.hpp"

#include <sstream>

#include "moeshift/core/error.hpp"
#include "moeshift/trace/views.hpp"

#include "tests/support/catch.hpp"

using namespace moeshift;

namespace {

std::string trace_of(int steps) {
  std::string text = R"({"num_layers":1,"num_experts":2})"
                     "\n";
  for (int t = 0; t < steps; ++t) {
    text += "{\"step\":" + std::to_string(10 * t) + ",\"load\":[[" + std::to_string(t) + ",1]]}\n";
  }
  return text;
}

}  // namespace

TEST_CASE("a counter that fell began anew: the step's own counts are the difference") {
  std::istringstream in(R"({"num_layers":2,"num_experts":2})"
                        "\n"
                        R"({"step":0,"load":[[4,2],[1,1]]})"
                        "\n"
                        R"({"step":1,"load":[[5,1],[3,5]]})"
                        "\n"
                        R"({"step":2,"load":[[9,1],[4,5]]})"
                        "\n");
  const auto differences = differences_of(open_trace(in, "t"));
  TraceStep step;
  std::vector<std::vector<double>> rows;
  while (differences->next(step)) {
    rows.emplace_back(step.load.items().begin(), step.load.items().end());
  }
  CHECK(rows == std::vector<std::vector<double>>{{4, 2, 1, 1}, {5, 1, 2, 4}, {4, 0, 1, 0}});
}

TEST_CASE("step ranges read like slices") {
  CHECK(parse_step_range("2:8", "--windows") == StepRange{2, 8});
  CHECK(parse_step_range("2:", "--windows") == StepRange{2, std::nullopt});
  CHECK(parse_step_range(":8", "--windows") == StepRange{0, 8});
  CHECK(parse_step_range(":", "--windows") == StepRange{0, std::nullopt});
  CHECK(parse_step_range("5", "--windows") == StepRange{5, 6});
  CHECK(to_string(StepRange{2, 8}) == "2:8");
  CHECK(to_string(StepRange{2, std::nullopt}) == "2:");
}

TEST_CASE("step ranges that are none are refused") {
  for (const std::string bad :
       {"", "a", "1:b", "-1:2", "3:3", "4:3", "1:2:3", "1.5", " 1:2", "99999999999999999999999:"}) {
    CHECK_THROWS_AS(parse_step_range(bad, "--windows"), InputError);
  }
}

TEST_CASE("windows are read in one pass and may overlap") {
  std::istringstream in(trace_of(6));
  const std::vector<StepRange> ranges{{0, 4}, {3, std::nullopt}};
  const auto windows = load_windows(in, "t", ranges);
  REQUIRE(windows.size() == 2);
  CHECK(windows[0].steps == std::vector<std::int64_t>{0, 10, 20, 30});
  CHECK(windows[1].steps == std::vector<std::int64_t>{30, 40, 50});
  CHECK(windows[1].loads[2](LayerId(0), ExpertId(0)) == 5);
}

TEST_CASE("reading stops after the last step that is wanted") {
  std::istringstream in(trace_of(2) + "not a step\n");
  CHECK(load_window(in, "t", {0, 2}).loads.size() == 2);
}

TEST_CASE("a window beyond the end of the trace is refused") {
  std::istringstream in(trace_of(3));
  try {
    static_cast<void>(load_window(in, "t", {1, 5}));
    FAIL("read a window that is not there");
  } catch (const InputError& error) {
    CHECK(std::string(error.what()) == "t: expected steps 1:5, but the trace has 3 steps");
  }
  std::istringstream again(trace_of(3));
  CHECK_THROWS_AS(load_window(again, "t", {3, std::nullopt}), InputError);
  std::istringstream empty(trace_of(0));
  CHECK_THROWS_AS(load_window(empty, "t"), InputError);
}
