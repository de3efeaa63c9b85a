// SPDX-License-Identifier: Apache-2.0
#include "moeshift/report/requirement.hpp"

#include <vector>

#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"

#include "tests/support/catch.hpp"

using namespace moeshift;
using Json = nlohmann::ordered_json;

namespace {

const Json kPlan = {
    {"result",
     {{"policy", "balanced"},
      {"verified", true},
      {"metrics", {{"balancedness", 0.9}, {"gap_max", 0.02}}},
      {"rows", {{{"policy", "a"}, {"rounds", 3}}, {{"policy", "b"}, {"rounds", 5}}}}}}};

bool met(const std::string& text) {
  const std::vector<Requirement> one = {parse_requirement(text, "--require")};
  bool all = true;
  for (const RequirementOutcome& outcome : hold_against(kPlan, "f", one)) all = all && outcome.met;
  return all;
}

}  // namespace

TEST_CASE("Every relation holds where it should and nowhere else") {
  CHECK(met("balancedness>=0.9"));
  CHECK_FALSE(met("balancedness>=0.91"));
  CHECK_FALSE(met("balancedness>0.9"));
  CHECK(met("balancedness<=0.9"));
  CHECK_FALSE(met("balancedness<0.9"));
  CHECK(met("balancedness==0.9"));
  CHECK(met("gap_max <= 2%"));
  CHECK_FALSE(met("gap_max <= 1.9%"));
  CHECK(met("verified==1"));
}

TEST_CASE("A requirement holds for every figure that it names") {
  CHECK(met("rows.*.rounds<=5"));
  CHECK_FALSE(met("rows.*.rounds<=4"));
  CHECK(met("rows.a.rounds<=4"));
  const std::vector<Requirement> all = {parse_requirement("rows.*.rounds<=4", "--require")};
  const auto outcomes = hold_against(kPlan, "f", all);
  REQUIRE(outcomes.size() == 2);
  CHECK(outcomes[1].path == "rows.b.rounds");
  CHECK(outcomes[1].value == 5);
  CHECK(to_string(outcomes[1].requirement) == "<= 4");
}

TEST_CASE("What is no requirement, names nothing or no number is refused") {
  for (const char* text : {"", "balancedness", ">=1", "balancedness>=", "balancedness=1",
                           "balancedness=>1", "balancedness>=1x", "balancedness>=nan", "a!=1"}) {
    INFO(text);
    CHECK_THROWS_AS(parse_requirement(text, "--require"), InputError);
  }
  CHECK_THROWS_AS(met("balancednes>=1"), InputError);
  CHECK_THROWS_AS(met("policy>=1"), InputError);
}
