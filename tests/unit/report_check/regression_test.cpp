// SPDX-License-Identifier: Apache-2.0
#include "moeshift/report/regression.hpp"

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/report/figures.hpp"

#include "tests/support/catch.hpp"

namespace {

using Json = nlohmann::ordered_json;
using moeshift::Better;
using moeshift::Gate;
using moeshift::MetricComparison;
using moeshift::Outcome;

Json plan(double balancedness, double peak_load) {
  return {{"schema", "moeshift.plan/1"},
          {"meta", Json::object()},
          {"result",
           {{"placement", {{"physical_to_logical", {{0, 1}, {1, 0}}}}},
            {"metrics",
             {{"balancedness", balancedness},
              {"balancedness_vllm", 0.5},
              {"imbalance", 1.25},
              {"peak_load", peak_load}}},
            {"layers", {{{"layer", 3}, {"imbalance", 1.5}}, {{"layer", 4}, {"imbalance", 1.0}}}},
            {"verified", true},
            {"plan_seconds", 0.5}}}};
}

Json compare_of(const std::vector<std::string>& policies) {
  Json rows = Json::array();
  for (const std::string& policy : policies) {
    rows.push_back({{"policy", policy}, {"test", {{"balancedness", 0.9}}}});
  }
  return {{"schema", "moeshift.compare/1"}, {"result", {{"rows", rows}}}};
}

std::vector<MetricComparison> check(const Json& result, const Json& baseline,
                                    const std::vector<std::string>& texts) {
  std::vector<Gate> gates;
  for (const std::string& text : texts) gates.push_back(moeshift::parse_gate(text, "--fail-on"));
  return moeshift::compare_results(result, "new", baseline, "old", gates);
}

std::string error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const moeshift::InputError& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("A metric that is better when higher fails when it falls by more than its tolerance") {
  const Json baseline = plan(0.8, 100);
  CHECK(check(plan(0.79, 100), baseline, {"balancedness=0.5%"})[0].outcome == Outcome::kWorse);
  CHECK(check(plan(0.797, 100), baseline, {"balancedness=0.5%"})[0].outcome == Outcome::kSame);
  CHECK(check(plan(0.9, 100), baseline, {"balancedness=0.5%"})[0].outcome == Outcome::kBetter);
}

TEST_CASE("A metric that is better when lower fails when it rises by more than its tolerance") {
  const Json baseline = plan(0.8, 100);
  CHECK(check(plan(0.8, 103), baseline, {"peak_load=2"})[0].outcome == Outcome::kWorse);
  CHECK(check(plan(0.8, 102), baseline, {"peak_load=2"})[0].outcome == Outcome::kSame);
  CHECK(check(plan(0.8, 50), baseline, {"peak_load=2"})[0].outcome == Outcome::kBetter);
  CHECK_FALSE(check(plan(0.8, 50), baseline, {"peak_load=0"})[0].fails());
}

TEST_CASE("A tolerance in per cent is a share of the baseline, not of one") {
  const Json baseline = plan(0.8, 100);
  CHECK(check(plan(0.8, 102), baseline, {"peak_load=2%"})[0].outcome == Outcome::kSame);
  CHECK(check(plan(0.8, 103), baseline, {"peak_load=2%"})[0].outcome == Outcome::kWorse);
}

TEST_CASE("A result held against itself is the same in every default metric of its command") {
  const Json same = plan(0.8, 100);
  Json result = same;
  result["result"]["metrics"]["gap_max"] = 0.1;
  const std::vector<Gate> gates = moeshift::default_gates("plan");
  REQUIRE_FALSE(gates.empty());
  for (const MetricComparison& row :
       moeshift::compare_results(result, "new", result, "old", gates)) {
    CHECK(row.outcome == Outcome::kSame);
  }
}

TEST_CASE("What check asks for unasked is better the way that is written here") {
  using moeshift::find_figure;
  const std::vector<std::pair<const char*, Better>> kWays = {
      {"balancedness", Better::kHigher},
      {"gap_max", Better::kLower},
      {"transfers", Better::kLower},
      {"bytes_by_link", Better::kLower},
      {"rounds", Better::kLower},
      {"staging_bytes_per_rank", Better::kLower},
      {"predicted_seconds", Better::kLower},
      {"transfers_per_layer", Better::kLower},
      {"verified", Better::kHigher},
      {"mismatched_bytes", Better::kLower},
      {"throughput_ratio", Better::kHigher},
      {"p99_ratio", Better::kLower},
      {"saving_share", Better::kHigher},
      {"expert_bytes_per_rank", Better::kLower}};
  for (const auto& [key, better] : kWays) {
    INFO(key);
    REQUIRE(find_figure(key) != nullptr);
    CHECK(find_figure(key)->better == better);
  }
  const Json moves = {{"schema", "moeshift.moves/1"}, {"result", {{"totals", {{"rounds", 7}}}}}};
  Json more = moves;
  more["result"]["totals"]["rounds"] = 8;
  CHECK(check(more, moves, {"totals.rounds=0"})[0].outcome == Outcome::kWorse);
  CHECK(check(moves, more, {"totals.rounds=0"})[0].outcome == Outcome::kBetter);
}

TEST_CASE("A short name means the shallowest values of that name and no longer name") {
  const Json result = plan(0.8, 100);
  const auto balancedness = check(result, result, {"balancedness=0"});
  REQUIRE(balancedness.size() == 1);
  CHECK(balancedness[0].path == "metrics.balancedness");
  const auto imbalance = check(result, result, {"imbalance=0"});
  REQUIRE(imbalance.size() == 1);
  CHECK(imbalance[0].path == "metrics.imbalance");
}

TEST_CASE("A star names every layer and items of a list are called by their own name") {
  const Json result = plan(0.8, 100);
  const auto layers = check(result, result, {"layers.*.imbalance=0"});
  REQUIRE(layers.size() == 2);
  CHECK(layers[0].path == "layers.3.imbalance");
  CHECK(check(result, result, {"layers.4.imbalance=0"}).size() == 1);
  const Json rows = compare_of({"static", "deepseek"});
  CHECK(check(rows, rows, {"balancedness=0"}).size() == 2);
  CHECK(check(rows, rows, {"deepseek.test.balancedness=0"})[0].path ==
        "rows.deepseek.test.balancedness");
}

TEST_CASE("A gated metric that vanished fails and one that is new does not") {
  const auto vanished =
      check(compare_of({"static"}), compare_of({"static", "snake"}), {"balancedness=1%"});
  REQUIRE(vanished.size() == 2);
  CHECK(vanished[1].outcome == Outcome::kMissing);
  CHECK(vanished[1].fails());
  const auto added =
      check(compare_of({"static", "snake"}), compare_of({"static"}), {"balancedness=1%"});
  REQUIRE(added.size() == 2);
  CHECK(added[1].outcome == Outcome::kNew);
  CHECK_FALSE(added[1].fails());
}

TEST_CASE("A value of unknown direction fails on any change beyond its tolerance") {
  Json result = plan(0.8, 100);
  Json baseline = result;
  result["result"]["steps"] = 9;
  baseline["result"]["steps"] = 8;
  CHECK(check(result, baseline, {"steps=0"})[0].outcome == Outcome::kWorse);
  CHECK(check(result, baseline, {"steps=1"})[0].outcome == Outcome::kSame);
}

TEST_CASE("Texts and plain lists are compared for equality") {
  const Json baseline = plan(0.8, 100);
  Json result = baseline;
  CHECK(check(result, baseline, {"physical_to_logical=0"})[0].outcome == Outcome::kSame);
  result["result"]["placement"]["physical_to_logical"][0][0] = 1;
  CHECK(check(result, baseline, {"physical_to_logical=0"})[0].outcome == Outcome::kWorse);
}

TEST_CASE("A verdict that turned false fails") {
  const Json baseline = plan(0.8, 100);
  Json result = baseline;
  result["result"]["verified"] = false;
  CHECK(check(result, baseline, {"verified=0"})[0].outcome == Outcome::kWorse);
}

TEST_CASE("A baseline of zero has no relative tolerance and any worsening of it fails") {
  const Json baseline = plan(0.8, 0);
  CHECK(check(plan(0.8, 1), baseline, {"peak_load=50%"})[0].outcome == Outcome::kWorse);
  CHECK_FALSE(check(plan(0.8, 1), baseline, {"peak_load=50%"})[0].relative_change().has_value());
}

TEST_CASE(
    "A result of schema 2 says itself which way its figures should go; one of schema 1 is told") {
  const Json old = plan(0.8, 100);
  Json baseline = old;
  baseline["schema"] = "moeshift.plan/2";
  baseline["view"] = {
      {"figures", {{"peak_load", {{"better", "higher"}}}, {"made_up", {{"better", "higher"}}}}}};
  baseline["result"]["made_up"] = 5;
  Json result = baseline;
  result["result"]["metrics"]["peak_load"] = 90;
  result["result"]["made_up"] = 6;
  CHECK(check(result, baseline, {"peak_load=0"})[0].outcome == Outcome::kWorse);
  CHECK(check(result, baseline, {"made_up=0"})[0].outcome == Outcome::kBetter);
  CHECK(check(plan(0.8, 90), old, {"peak_load=0"})[0].outcome == Outcome::kBetter);
  CHECK(check(plan(0.7, 100), old, {"balancedness=0"})[0].outcome == Outcome::kWorse);
}

TEST_CASE("A baseline of schema 1 still judges results of schema 2") {
  Json result = plan(0.7, 100);
  result["schema"] = "moeshift.plan/2";
  result["view"] = {{"figures", {{"balancedness", {{"better", "higher"}}}}}};
  CHECK(check(result, plan(0.8, 100), {"balancedness=0"})[0].outcome == Outcome::kWorse);
}

TEST_CASE("Results of different commands are not compared") {
  CHECK(error_of([] { check(plan(1, 1), compare_of({"static"}), {"balancedness=0"}); }) ==
        "new#/schema: expected \"moeshift.compare/1\", the schema of old");
}

TEST_CASE("A file that is no result is refused with the place of the fault") {
  CHECK(error_of([] { check(plan(1, 1), Json::object(), {"peak_load=0"}); }) ==
        "old#: expected the key \"schema\"");
  CHECK(error_of([] { check(Json::array(), plan(1, 1), {"peak_load=0"}); }) ==
        "new#: expected an object");
  CHECK(error_of([] {
          (void)moeshift::command_of({{"schema", "other/1"}}, "f");
        }).rfind("f#/schema: ", 0) == 0);
}

TEST_CASE("A gate that names nothing is refused with the nearest metric") {
  CHECK(error_of([] { check(plan(1, 1), plan(1, 1), {"balancednes=0"}); }) ==
        "old#/result: has no metric 'balancednes'; did you mean 'balancedness'?");
}

TEST_CASE("A metric that only the new result has asks for a new baseline") {
  Json result = plan(1, 1);
  result["result"]["metrics"]["novel"] = 1;
  CHECK(error_of([&] { check(result, plan(1, 1), {"novel=0"}); }) ==
        "old#/result: expected a metric 'novel'; make a new baseline");
}

TEST_CASE("A tolerance that is no number or negative or infinite is refused") {
  for (const char* text : {"balancedness", "=1", "a=", "a=x", "a=-1", "a=1%%", "a=inf", "a=nan%"}) {
    CAPTURE(text);
    CHECK(error_of([&] {
            (void)moeshift::parse_gate(text, "--fail-on");
          }).rfind("--fail-on: expected metric=tolerance", 0) == 0);
  }
  CHECK(moeshift::parse_gate("a.b=2.5%", "--fail-on").tolerance.amount == Approx(0.025));
}
