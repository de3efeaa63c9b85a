// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/compare/compare_report.hpp"

#include <vector>

#include <nlohmann/json.hpp>

#include "tests/support/catch.hpp"

using namespace moeshift;
using namespace moeshift::cli;

namespace {

ComparisonRow row_of(const std::string& policy, double score, double noise, double transfers) {
  ComparisonRow row;
  row.policy = policy;
  for (int i = 0; i < 20; ++i) row.scores.push_back(score + (i % 2 == 0 ? noise : -noise));
  row.transfers = transfers;
  return row;
}

}  // namespace

TEST_CASE("A comparison with a clear winner says by how much and that it is real") {
  const std::vector<ComparisonRow> rows = {row_of("static", 0.6, 0, 0), row_of("snake", 0.9, 0, 8)};
  const std::string verdict = conclusion_of(rows, standings_of(rows, 0, 1)).text;
  CHECK(verdict.rfind("best on held-out steps: snake, 0.3000 of balancedness ahead of static", 0) ==
        0);
  CHECK(verdict.find("a real difference") != std::string::npos);
}

TEST_CASE("Where windows cannot tell, the verdict names who moves least") {
  const std::vector<ComparisonRow> rows = {
      row_of("much", 0.9, 0, 80), row_of("little", 0.899, 0.01, 8), row_of("static", 0.5, 0, 0)};
  const Conclusion said = conclusion_of(rows, standings_of(rows, 2, 1));
  CHECK(said.text.find("Of those that tie little moves least") != std::string::npos);
  REQUIRE(said.reasons.size() == 2);
  CHECK(said.reasons[1] == "these windows cannot tell it from little");
}

TEST_CASE("Who is alone is said to be alone") {
  const std::vector<ComparisonRow> rows = {row_of("static", 0.6, 0, 0)};
  CHECK(conclusion_of(rows, standings_of(rows, 0, 1)).text.find("nobody else took part") !=
        std::string::npos);
  CHECK(best_json(rows, standings_of(rows, 0, 1))["runner_up"].is_null());
}

TEST_CASE("Rows carry the difference to the reference and who is on the frontier") {
  const std::vector<ComparisonRow> rows = {row_of("static", 0.6, 0, 0), row_of("snake", 0.9, 0, 8),
                                           row_of("worse", 0.8, 0, 9)};
  const nlohmann::ordered_json json = to_json(rows, standings_of(rows, 0, 1), 2, false);
  CHECK(json[1]["difference"]["mean"].get<double>() == Approx(0.3));
  CHECK(json[1]["transfers_per_layer"].get<double>() == Approx(4));
  CHECK(json[1]["held_out"]["balancedness_worst"].get<double>() == Approx(0.9));
  CHECK(json[0]["pareto"] == true);
  CHECK(json[1]["pareto"] == true);
  CHECK(json[2]["pareto"] == false);
}
