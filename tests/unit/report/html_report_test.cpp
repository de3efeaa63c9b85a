// SPDX-License-Identifier: Apache-2.0
#include "moeshift/report/html_report.hpp"

#include <sstream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/report/charts.hpp"
#include "moeshift/report/plot_frame.hpp"
#include "moeshift/report/svg.hpp"

#include "tests/support/catch.hpp"

using namespace moeshift;
using Json = nlohmann::ordered_json;

namespace {

std::string page_of(const Json& envelope) {
  std::ostringstream out;
  const ResultDocument document{"result.json", &envelope};
  write_html_report(out, {&document, 1});
  return out.str();
}

Json envelope_of(const std::string& command, Json result) {
  return {{"schema", "moeshift." + command + "/1"}, {"result", std::move(result)}};
}

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

}  // namespace

TEST_CASE("whatever stands in a result cannot leave its place in the page") {
  CHECK(escape_html("<script>&\"'") == "&lt;script&gt;&amp;&quot;&#39;");
  CHECK(escape_html("a\x01"
                    "b\xC3\xA9\xFF") == "ab\xC3\xA9\xEF\xBF\xBD");
  const std::string evil = "\"><script>alert(1)</script>";
  for (const char* command : {"compare", "sweep", "plan", "diagnose", "simulate", "other"}) {
    const std::string page = page_of(envelope_of(
        command,
        {{"answer", evil},
         {"reference", evil},
         {"policy", evil},
         {evil, evil},
         {"advice", {{"verdict", evil}, {"reasons", {evil}}}},
         {"rows",
          {{{"policy", evil}, {"test", {{"balancedness", 0.5}}}, {"transfers_per_layer", 1}}}}}));
    CHECK(page.find("<script") == std::string::npos);
  }
}

TEST_CASE("a page fetches nothing and runs nothing") {
  const std::string page = page_of(
      envelope_of("plan", {{"layers", {{{"layer", 0}, {"imbalance", 1.2}, {"gap", 0.1}}}}}));
  CHECK(page.find("src=") == std::string::npos);
  CHECK(page.find("url(") == std::string::npos);
  CHECK(page.find("http") == std::string::npos);
  CHECK(page.find("<script") == std::string::npos);
  CHECK(page.find("prefers-color-scheme:dark") != std::string::npos);
  CHECK(page.find("@media print") != std::string::npos);
}

TEST_CASE("results that lack everything still make a page") {
  for (const char* command :
       {"plan", "moves", "execute", "compare", "sweep", "simulate", "diagnose", "models"}) {
    CHECK_NOTHROW(page_of(envelope_of(command, Json::object())));
    CHECK_NOTHROW(page_of(envelope_of(
        command,
        {{"layers", {1, "x"}}, {"rows", "none"}, {"totals", 3}, {"backtest", {Json::object()}}})));
  }
}

TEST_CASE("what is no result is refused by name") {
  CHECK_THROWS_AS(page_of(Json::array()), InputError);
  CHECK_THROWS_AS(page_of({{"schema", "something/1"}, {"result", 1}}), InputError);
  CHECK_THROWS_AS(page_of({{"schema", "moeshift.plan/1"}}), InputError);
}

TEST_CASE("every value gets a bar and every point its label") {
  const BarChart bars{.x = {"layer", Unit::kCount},
                      .y = {"load", Unit::kPlain},
                      .categories = {"0", "1", "2"},
                      .series = {{"now", {1, 2, 3}}, {"then", {1, 1, 1}}},
                      .base = 0};
  CHECK(count_of(draw(bars), "<rect") == 6 + 2);  // and two in the legend
  const ScatterChart scatter{.x = {"bytes", Unit::kBytes},
                             .y = {"balance", Unit::kPlain},
                             .points = {{0, 0.5, "static", true}, {1e9, 0.9, "deepseek", true}}};
  const std::string svg = draw(scatter);
  CHECK(svg.find(">static<") != std::string::npos);
  CHECK(svg.find(">deepseek<") != std::string::npos);
  CHECK(count_of(svg, "<circle") == 2);
}

TEST_CASE("charts of nothing, of one value and of equal values are drawn without nonsense") {
  ScatterChart twins;
  twins.points = {{0, 0, "a", true}, {0, 0, "b", true}};
  IntervalChart nothing;
  nothing.rows = {{"a", 0, 0.0, 0.0, false}};
  HeatMap zeros;
  zeros.values = {{0, 0}, {0, 0}};
  for (const std::string& svg :
       {draw(BarChart()), draw(ScatterChart()), draw(IntervalChart()), draw(LineChart()),
        draw(HeatMap()), draw(StackedChart()), draw(twins), draw(nothing), draw(zeros)}) {
    CHECK(svg.find("nan") == std::string::npos);
    CHECK(svg.find("inf") == std::string::npos);
    CHECK(svg.find("</svg>") != std::string::npos);
  }
}

TEST_CASE("ticks are round, inside the range and about as many as wanted") {
  CHECK(round_ticks(0, 1, 5).size() == 6);
  CHECK(round_ticks(0, 1, 5)[3] == Approx(0.6));
  for (const double high : {0.037, 1.0, 57.0, 123456.0}) {
    const std::vector<double> ticks = round_ticks(0, high, 5);
    CHECK(ticks.size() >= 3);
    CHECK(ticks.size() <= 6);
    CHECK(ticks.back() <= high * 1.0001);
  }
}

TEST_CASE("equal results give equal pages") {
  const Json envelope = envelope_of("moves", {{"traffic_bytes", {{0, 5}, {7, 0}}}});
  CHECK(page_of(envelope) == page_of(envelope));
  CHECK(count_of(page_of(envelope), "class=\"heat\"") == 4 + 5);  // and the scale
}
