// SPDX-License-Identifier: Apache-2.0
#include "moeshift/report/figures.hpp"

#include <set>

#include <nlohmann/json.hpp>

#include "tests/support/catch.hpp"

using namespace moeshift;
using Json = nlohmann::ordered_json;

TEST_CASE("No figure is declared twice") {
  std::set<std::string_view> keys;
  for (const Figure& one : detail::kFigures) {
    INFO(one.key);
    CHECK(keys.insert(one.key).second);
    CHECK_FALSE(one.label.empty());
  }
}

TEST_CASE("A figure is one number in JSON, in a cell and in a table of figures") {
  const auto balancedness = figure("balancedness")(0.98765);
  CHECK(object_of({balancedness, figure("rounds")(std::size_t{1234}), figure("verified")(true),
                   figure("plan_seconds").unknown(), figure("bytes_by_link")(Bytes(1500))}) ==
        Json({{"balancedness", 0.98765},
              {"rounds", 1234},
              {"verified", true},
              {"plan_seconds", nullptr},
              {"bytes_by_link", 1500}}));
  CHECK(balancedness.cell().shown == "0.9877");
  CHECK(balancedness.cell().raw == "0.98765");
  CHECK(figure("rounds")(std::size_t{1234}).cell().shown == "1,234");
  CHECK(figure("gap")(0.0123).cell().shown == "1.23 %");
  CHECK(figure("step_seconds")(Seconds(0.00123)).cell().shown == "1.23 ms");
  CHECK(figure("plan_seconds").unknown().cell().shown == "-");
  const std::vector<FigureValue> figures = {balancedness};
  const Table table = figure_table(figures);
  CHECK(table.rows.at(0).at(0).shown == "balancedness");
  CHECK(table.rows.at(0).at(1).shown == "0.9877");
  CHECK(table.rows.at(0).at(2).shown == "mean over layers of mean rank load / busiest rank");
}

TEST_CASE(
    "The last part of a path that is declared, and no part of another, says which way is better") {
  const auto better = [](std::string_view path) {
    const Figure* found = figure_at(path);
    return found == nullptr ? Better::kNeither : found->better;
  };
  CHECK(better("rows.deepseek.test.balancedness") == Better::kHigher);
  CHECK(better("rows.balanced.test.balancedness") == Better::kHigher);
  CHECK(better("totals.bytes_by_link.inter_node") == Better::kLower);
  CHECK(better("totals.predicted_seconds.total") == Better::kLower);
  CHECK(better("totals.transfers_by_link.intra_node") == Better::kLower);
  CHECK(better("transfer_seconds.overlapped") == Better::kLower);
  CHECK(better("plan_hash") == Better::kNeither);
  CHECK(better("repetitions.count") == Better::kNeither);
}

TEST_CASE("A result declares the figures that it has, and a mistyped key is found") {
  const Json result = {{"metrics", {{"balancedness", 0.5}, {"gap_max", 0.1}}},
                       {"rows", {{{"step_seconds", {{"p99", 1}}}, {"baloncedness", 3}}}},
                       {"note", "text"}};
  CHECK(declarations_of(result) == Json({{"balancedness", {{"unit", ""}, {"better", "higher"}}},
                                         {"gap_max", {{"unit", "%"}, {"better", "lower"}}},
                                         {"step_seconds", {{"unit", "s"}, {"better", "lower"}}}}));
  CHECK(undeclared_in(result) == std::vector<std::string>{"rows.baloncedness"});
}
