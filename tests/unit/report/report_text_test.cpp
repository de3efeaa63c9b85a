// SPDX-License-Identifier: Apache-2.0
#include "moeshift/report/report_text.hpp"

#include <sstream>

#include <nlohmann/json.hpp>

#include "moeshift/report/terminal_table.hpp"

#include "tests/support/catch.hpp"

using namespace moeshift;

namespace {

Report sample() {
  Report report("sample");
  report.note("two policies on one trace");
  report.table({.title = "",
                .columns = {"policy", "bytes"},
                .rows = {{Cell::text("deep,seek"), Cell::bytes(Bytes(1'500'000))},
                         {Cell::text("static"), Cell::bytes(Bytes(0))}}});
  report.result() = {{"map", {{0, 1}, {2, 3}}}, {"x", 1.5}};
  return report;
}

std::string written(Format format, std::size_t width = 80) {
  std::ostringstream out;
  write_report(out, sample(), {}, {.format = format, .width = width});
  return out.str();
}

}  // namespace

TEST_CASE("A terminal table aligns numbers to the right") {
  CHECK(
      written(Format::kTable) ==
      "two policies on one trace\n\npolicy       bytes\ndeep,seek  1.50 MB\nstatic         0 B\n");
}

TEST_CASE("A table that is too wide becomes one record per row") {
  CHECK(written(Format::kTable, 12) ==
        "two policies\non one trace\n\npolicy  deep,seek\nbytes   1.50 MB\n\npolicy  "
        "static\nbytes   0 B\n");
}

TEST_CASE("A table with keys that is too wide is shown in parts, its keys beside each") {
  Table wide{"", {"who", "first", "second", "third"}, {}};
  wide.keys = 1;
  for (const char* who : {"a", "b"}) {
    wide.rows.push_back({Cell::text(who), Cell::count(std::size_t{1}), Cell::count(std::size_t{22}),
                         Cell::count(std::size_t{333})});
  }
  const auto shown = [&](std::size_t width) {
    std::ostringstream out;
    Style style;
    style.width = width;
    write_table(out, wide, style);
    return out.str();
  };
  CHECK(shown(80) ==
        "who  first  second  third\na        1      22    333\nb        1      22    333\n");
  CHECK(shown(18) ==
        "who  first  second\na        1      22\nb        1      22\n"
        "\nwho  third\na      333\nb      333\n");
  CHECK(shown(5).find("first") != std::string::npos);
}

TEST_CASE("A column of prose wraps before its table becomes records") {
  Report report("sample");
  report.table({.title = "",
                .columns = {"n", "meaning"},
                .rows = {{Cell::count(std::int64_t{7}), Cell::text("one two three four five six")},
                         {Cell::count(std::int64_t{12}), Cell::text("short")}}});
  std::ostringstream out;
  write_report(out, report, {}, {.format = Format::kTable, .width = 22});
  CHECK(out.str() == " n  meaning\n 7  one two three four\n    five six\n12  short\n");
}

TEST_CASE("CSV carries raw figures and quotes what needs it") {
  CHECK(written(Format::kCsv) == "policy,bytes\r\n\"deep,seek\",1500000\r\nstatic,0\r\n");
}

TEST_CASE("Markdown aligns number columns to the right") {
  CHECK(written(Format::kMarkdown) ==
        "two policies on one trace\n\n| policy | bytes |\n|---|---:|\n| deep,seek | 1.50 MB "
        "|\n| static | 0 B |\n");
}

TEST_CASE("JSON keeps rows of a map on one line and reads back unchanged") {
  const std::string text = written(Format::kJson);
  CHECK(text.find("[0,1],\n") != std::string::npos);
  const auto document = nlohmann::ordered_json::parse(text);
  CHECK(document == envelope(sample(), {}));
  CHECK(document.at("schema") == "moeshift.sample/2");
}
