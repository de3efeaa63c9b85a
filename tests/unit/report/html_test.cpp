// SPDX-License-Identifier: Apache-2.0
#include "moeshift/report/html.hpp"

#include <sstream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/report/figures.hpp"
#include "moeshift/report/sections.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/report_samples.hpp"

using namespace moeshift;
using Json = nlohmann::ordered_json;

namespace {

std::string page_of(std::vector<PageSection> sections) {
  std::ostringstream out;
  write_html(out, sections);
  return out.str();
}

std::string page_of(View view) {
  return page_of(
      std::vector<PageSection>{{"result.json", "plan", "moeshift plan", "", std::move(view)}});
}

/// A page without the scripts and styles that all pages have.
std::string body_of(const std::string& page) {
  const std::size_t from = page.find("<main>");
  return page.substr(from, page.find("</main>") - from);
}

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

}  // namespace

TEST_CASE("whatever stands in a view cannot leave its place in the page") {
  CHECK(escape_html("<script>&\"'") == "&lt;script&gt;&amp;&quot;&#39;");
  CHECK(escape_html("a\x01"
                    "b\xC3\xA9\xFF") == "ab\xC3\xA9\xEF\xBF\xBD");
  const std::string evil = "\"></script><script>alert(1)</script>";
  View view = samples::every_block(evil);
  view.title = evil;
  view.about = {{evil, evil}};
  const std::string body = body_of(page_of(
      std::vector<PageSection>{{evil, evil, evil, evil, view}, {evil, evil, evil, evil, view}}));
  CHECK(body.find("<script>") == std::string::npos);
  CHECK(count_of(body, "<script") == count_of(body, "<script type=\"application/json\">"));
  CHECK(count_of(body, "<script") == count_of(body, "</script>"));
}

TEST_CASE("a page fetches nothing") {
  const std::string page = page_of(samples::every_block("x"));
  CHECK(page.find(" src=") == std::string::npos);
  CHECK(page.find("<link") == std::string::npos);
  CHECK(page.find("@import") == std::string::npos);
  CHECK(page.find("color-scheme:light dark") != std::string::npos);
  CHECK(page.find("light-dark(") != std::string::npos);
  CHECK(page.find("@media print") != std::string::npos);
}

TEST_CASE("a page without charts does without the charting library") {
  View view;
  view.blocks = {Note{"nothing to draw"}};
  CHECK(page_of(view).size() < 40'000);
  CHECK(page_of(samples::every_block("x")).size() > 500'000);
  CHECK(page_of(samples::every_block("x")).size() < 1'000'000);
}

TEST_CASE("every figure of a view stands on its page as text, scripts or not") {
  const std::string body = body_of(page_of(samples::every_block("static")));
  for (const char* text :
       {"<dt>balancedness</dt><dd>0.9876</dd><dd class=\"remark\">busiest rank</dd>",
        "<td class=\"n\">0.9876</td>", "data-v=\"1500000\">1.50 MB</td>",
        "data-v=\"0.125\">12.5 %</td>", "data-v=\"0.00123\">1.23 ms</td>",
        "<div class=\"verdict bad\"><p>worse than before</p>", "<li>because</li>",
        "<summary>folded away</summary>", "<dt>model</dt><dd>static</dd>"}) {
    INFO(text);
    CHECK(body.find(text) != std::string::npos);
  }
}

TEST_CASE("a verdict stands above the figures, and these above the rest") {
  View view;
  view.blocks = {Note{"first said"}, Tiles{{{"share", Cell::percent(0.5), ""}}},
                 Conclusion{"the answer", Tone::kGood, {}}};
  const std::string body = body_of(page_of(view));
  CHECK(body.find("the answer") < body.find("share"));
  CHECK(body.find("share") < body.find("first said"));
}

TEST_CASE("several results have a summary that links them") {
  View view;
  view.title = "Where every expert lives";
  view.blocks = {Conclusion{"0.9876 balanced", Tone::kGood, {}}};
  const std::string body = body_of(page_of(std::vector<PageSection>{
      {"a.json", "plan", "", "2026-01-02", view}, {"b.json", "plan", "", "", view}}));
  CHECK(body.find("<h1>2 results</h1>") != std::string::npos);
  CHECK(body.find("<a href=\"#s2\">Where every expert lives</a>") != std::string::npos);
  CHECK(count_of(body, "0.9876 balanced") == 4);
  CHECK(body.find("2026-01-02") != std::string::npos);
}

TEST_CASE("the figures of a large map are told row by row") {
  HeatMap map = samples::heat_map(3, 40);
  map.values[1][7] = 99;
  View view;
  view.blocks = {map};
  const std::string body = body_of(page_of(view));
  CHECK(body.find("rank of the most") != std::string::npos);
  CHECK(body.find("<td>1</td><td class=\"n\" data-v=\"1\">1.00</td>") != std::string::npos);
  CHECK(body.find("data-v=\"99\"") != std::string::npos);
}

TEST_CASE("a table of thousands of rows is cut, and says so") {
  Table table{"", {"n"}, {}};
  for (std::size_t i = 0; i < 3000; ++i) table.rows.push_back({Cell::count(i)});
  View view;
  view.blocks = {table};
  const std::string body = body_of(page_of(view));
  CHECK(count_of(body, "<td") == 500);
  CHECK(body.find("The first 500 of 3,000 rows") != std::string::npos);
}

TEST_CASE("a result of before views is shown figure by figure") {
  const Json old = {{"schema", "moeshift.plan/1"},
                    {"result", {{"metrics", {{"balancedness", 0.75}}}}}};
  const PageSection section = section_of(old, "old.json");
  CHECK(section.command == "plan");
  CHECK(
      body_of(page_of({section})).find("<td>metrics.balancedness</td><td class=\"n\">0.75</td>") !=
      std::string::npos);
}

TEST_CASE("what is no result is refused by name") {
  CHECK_THROWS_AS(section_of(Json::array(), "f"), InputError);
  CHECK_THROWS_AS(section_of({{"schema", "something/1"}, {"result", 1}}, "f"), InputError);
  CHECK_THROWS_AS(section_of({{"schema", "moeshift.plan/1"}}, "f"), InputError);
  CHECK_THROWS_AS(section_of({{"schema", "moeshift.plan/3"}, {"result", 1}}, "f"), InputError);
}

TEST_CASE("equal views give equal pages") {
  CHECK(page_of(samples::every_block("x")) == page_of(samples::every_block("x")));
}
