// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/compare/compare_windows.hpp"

#include <sstream>

#include "moeshift/judge/plan_on.hpp"

#include "tests/support/catch.hpp"

using namespace moeshift;
using namespace moeshift::cli;

namespace {

/// Step i of n has load i + 1 on its first expert, and number 10 i.
std::string trace_of(std::size_t steps) {
  std::ostringstream text;
  text << R"({"model":"m","top_k":1,"num_layers":1,"num_experts":2})" << '\n';
  for (std::size_t i = 0; i < steps; ++i) {
    text << R"({"step":)" << 10 * i << R"(,"load":[[)" << i + 1 << ",1]]}" << '\n';
  }
  return text.str();
}

struct Opened {
  std::string text;
  std::size_t times = 0;

  OpenTrace open() {
    return [this] {
      ++times;
      std::vector<TraceInput> inputs;
      inputs.push_back({"t.jsonl", [this] { return std::make_unique<std::istringstream>(text); }});
      return open_trace(std::move(inputs), {}, {});
    };
  }
};

std::vector<double> firsts(const HeldOutWindows& windows) {
  std::vector<double> loads;
  windows.each([&](const LoadMatrix& load) { loads.push_back(load(LayerId(0), ExpertId(0))); });
  return loads;
}

LoadMatrix load_of(double first) {
  LoadMatrix load(1, 2);
  load(LayerId(0), ExpertId(0)) = first;
  return load;
}

std::vector<double> samples_of(const PlannedLoads& loads) {
  PlanProblem problem{.load = {}, .topology = Topology(1, 1), .slots = 2};
  loads.give_to(problem);
  std::vector<double> firsts;
  for (const LoadMatrix& sample : problem.samples) {
    firsts.push_back(sample(LayerId(0), ExpertId(0)));
  }
  return firsts;
}

}  // namespace

TEST_CASE("A comparison has the same windows whether its steps are kept or read again") {
  const WindowNames names[] = {
      {}, {.train = {"0:2", "1:4"}, .test = "3:6", .previous = "0:3", .forecaster = {}}};
  for (const WindowNames& asked : names) {
    for (const bool halve : {true, false}) {
      Opened kept{trace_of(7)};
      Opened again{trace_of(7)};
      const auto a = load_comparison_windows(kept.open(), "t", asked, halve);
      const auto b = load_comparison_windows(again.open(), "t", asked, halve, Bytes(40));
      CHECK(a.test.steps == b.test.steps);
      CHECK(firsts(a.test.windows) == firsts(b.test.windows));
      CHECK(firsts(b.test.windows).size() == b.test.steps.size());
      CHECK(a.test.windows.sum() == b.test.windows.sum());
      CHECK(a.previous == b.previous);
      REQUIRE(a.train.size() == b.train.size());
      for (std::size_t i = 0; i < a.train.size(); ++i) {
        CHECK(a.train[i].steps == b.train[i].steps);
        CHECK(a.train[i].loads.sum() == b.train[i].loads.sum());
        CHECK(samples_of(a.train[i].loads) == samples_of(b.train[i].loads));
      }
      CHECK(kept.times == 1);
      CHECK(again.times > 1);
    }
  }
}

TEST_CASE("Without windows the first half of the steps is planned on and the second judges") {
  for (const Bytes most : {Bytes(1 << 20), Bytes(0)}) {
    Opened trace{trace_of(5)};
    const auto windows = load_comparison_windows(trace.open(), "t", {}, true, most);
    REQUIRE(windows.train.size() == 1);
    CHECK(windows.train[0].steps == std::vector<std::int64_t>{0, 10});
    CHECK(windows.train[0].loads.sum()(LayerId(0), ExpertId(0)) == 3);
    CHECK(windows.test.steps == std::vector<std::int64_t>{20, 30, 40});
    CHECK(firsts(windows.test.windows) == std::vector<double>{3, 4, 5});
  }
}

TEST_CASE("Samples beyond the bound are sums of neighbours, and no step is lost") {
  const Bytes each(2 * sizeof(double));
  PlannedLoads loads({}, each * 4);
  std::vector<std::size_t> strides;
  for (int i = 1; i <= 11; ++i) {
    loads.add(load_of(i));
    strides.push_back(loads.steps_per_sample());
    CHECK(samples_of(loads).size() <= 4);
  }
  CHECK(strides == std::vector<std::size_t>{1, 1, 1, 1, 2, 2, 2, 2, 4, 4, 4});
  CHECK(samples_of(loads) == std::vector<double>{1 + 2 + 3 + 4, 5 + 6 + 7 + 8, 9 + 10 + 11});
  CHECK(loads.sum()(LayerId(0), ExpertId(0)) == 66);
  CHECK(loads.steps() == 11);
}

TEST_CASE("Joined steps leave out what does not fill a window") {
  JoinedSteps joined(2);
  CHECK_FALSE(joined.add(load_of(1)));
  CHECK(joined.add(load_of(2)) == load_of(3));
  CHECK_FALSE(joined.add(load_of(4)));
}
