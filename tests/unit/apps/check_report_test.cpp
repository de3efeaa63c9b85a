// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/files/check_report.hpp"

#include <sstream>
#include <string>

#include <nlohmann/json.hpp>

#include "tests/support/catch.hpp"

using namespace moeshift;
using namespace moeshift::cli;

namespace {

MetricComparison row_of(const std::string& path, double baseline, double value, Outcome outcome) {
  MetricComparison row;
  row.path = path;
  row.better = Better::kHigher;
  row.baseline = baseline;
  row.value = value;
  row.baseline_text = std::to_string(static_cast<int>(baseline));
  row.value_text = std::to_string(static_cast<int>(value));
  row.outcome = outcome;
  return row;
}

CheckAnswer answer_of(std::vector<MetricComparison> rows) {
  return {.command = "plan",
          .source = "a<b>.json",
          .rows = std::move(rows),
          .required = {},
          .differences = {}};
}

RequirementOutcome requirement(double value, bool met) {
  return {.path = "gap_max",
          .requirement = parse_requirement("gap_max<=2", "require"),
          .value = value,
          .met = met};
}

}  // namespace

TEST_CASE("A check fails by one figure that is worse or gone, or one requirement that is not met") {
  CHECK_FALSE(answer_of({}).failed());
  CHECK_FALSE(answer_of({row_of("a", 4, 5, Outcome::kBetter), row_of("b", 4, 4, Outcome::kSame),
                         row_of("c", 0, 4, Outcome::kNew)})
                  .failed());
  CHECK(answer_of({row_of("a", 4, 5, Outcome::kBetter), row_of("b", 4, 2, Outcome::kWorse)})
            .failed());
  CHECK(answer_of({row_of("a", 4, 0, Outcome::kMissing)}).failed());
  CheckAnswer asked = answer_of({});
  asked.required = {requirement(1, true)};
  CHECK_FALSE(asked.failed());
  asked.required.push_back(requirement(3, false));
  CHECK(asked.failed());
}

TEST_CASE(
    "The result of a check has both values, the change, the verdict of each, and one of all") {
  const Report report = check_report(
      answer_of({row_of("balance", 4, 2, Outcome::kWorse), row_of("gap", 4, 4, Outcome::kSame)}));
  const std::string text = report.result().dump();
  INFO(text);
  CHECK(text.find(R"("baseline":4.0,"value":2.0,"relative_change":-0.5)") != std::string::npos);
  CHECK(text.find(R"("verdict":"worse")") != std::string::npos);
  CHECK(text.find(R"("verdict":"same")") != std::string::npos);
}

TEST_CASE("JUnit has a case per figure, failures with both values, and nothing unescaped") {
  CheckAnswer answer =
      answer_of({row_of("x<y", 4, 2, Outcome::kWorse), row_of("z", 4, 4, Outcome::kSame)});
  answer.required = {requirement(3, false)};
  std::ostringstream out;
  write_junit(out, answer);
  INFO(out.str());
  const std::string text = out.str();
  CHECK(text.find(R"(tests="3" failures="2")") != std::string::npos);
  CHECK(text.find("x&lt;y is worse: 4 -&gt; 2 (-50.00 %)") != std::string::npos);
  CHECK(text.find("gap_max is 3, required &lt;= 2") != std::string::npos);
  CHECK(text.find("x<y") == std::string::npos);
}

TEST_CASE("GitHub is told each figure that fails and none that passes") {
  std::ostringstream out;
  write_github(out, answer_of({row_of("bad", 4, 2, Outcome::kWorse),
                               row_of("good", 4, 5, Outcome::kBetter)}));
  INFO(out.str());
  CHECK(out.str().find("bad is worse") != std::string::npos);
  CHECK(out.str().find("good is") == std::string::npos);
}
