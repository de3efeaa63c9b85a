// SPDX-License-Identifier: Apache-2.0
#include "moeshift/report/view.hpp"

#include <sstream>

#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/report/figures.hpp"
#include "moeshift/report/report_text.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/report_samples.hpp"

using namespace moeshift;
using Json = nlohmann::ordered_json;

namespace {

std::string text_of(const View& view, Depth depth) {
  std::ostringstream out;
  write_terminal(out, view.blocks, depth, {.width = 120});
  write_markdown(out, view.blocks, depth);
  write_csv(out, view.blocks, depth);
  return out.str();
}

View again(const View& view) {
  const Json json = Json::parse(view_json(view, Json::object()).dump());
  return read_view(JsonReader(json, "v"));
}

std::string fault_of(const Json& view) {
  try {
    (void)read_view(JsonReader(view, "v"));
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("A view survives its file: equal text in every format") {
  const View view = samples::every_block("static");
  const View read = again(view);
  CHECK(read.title == view.title);
  CHECK(read.about == view.about);
  CHECK(read.blocks.size() == view.blocks.size());
  CHECK(text_of(read, Depth::kPage) == text_of(view, Depth::kPage));
  CHECK(text_of(read, Depth::kAnswer) == text_of(view, Depth::kAnswer));
  CHECK(view_json(read, Json::object()) == view_json(view, Json::object()));
}

TEST_CASE("A table keeps numbers as numbers, with what is special shown beside its raw value") {
  const Json json = block_json(samples::table("static"));
  CHECK(json.at("columns").at(1) == Json({{"name", "balancedness"},
                                          {"figure", "balancedness"},
                                          {"better", "higher"},
                                          {"unit", ""},
                                          {"digits", 4}}));
  CHECK(json.at("rows").at(0) == Json({"static", 0.9876, 1500000, 0.125, 0.00123}));
  CHECK(json.at("rows").at(1) ==
        Json({"b", nullptr, "at least", Json::array({"best", "0", true}), nullptr}));
}

TEST_CASE("Only pages show large figures, details and charts") {
  const View view = samples::every_block("static");
  const std::string answer = text_of(view, Depth::kAnswer);
  CHECK(answer.find("a table") != std::string::npos);
  CHECK(answer.find("worse than before\n  - because") != std::string::npos);
  CHECK(answer.find("folded away") == std::string::npos);
  CHECK(answer.find("a map") == std::string::npos);
  const std::string page = text_of(view, Depth::kPage);
  for (const char* part : {"folded away", "a map", "busiest rank", "then"}) {
    CHECK(page.find(part) != std::string::npos);
  }
}

TEST_CASE("What is no view is refused at its place") {
  const auto with = [](Json block) {
    return Json{
        {"title", ""}, {"about", Json::object()}, {"blocks", Json::array({std::move(block)})}};
  };
  CHECK(fault_of({{"about", 1}}).find("v#") == 0);
  CHECK(fault_of(with({{"kind", "song"}})).find("v#/blocks/0/kind: expected a kind") == 0);
  CHECK(fault_of(with({{"kind", "note"}, {"text", 7}})).find("v#/blocks/0/text") == 0);
  const Json column = {{"name", "a"}};
  CHECK(
      fault_of(with({{"kind", "table"}, {"title", ""}, {"columns", {column}}, {"rows", {{1, 2}}}}))
          .find("v#/blocks/0/rows/0: expected a cell for each column") == 0);
  CHECK(fault_of(
            with({{"kind", "chart"},
                  {"title", ""},
                  {"draw", "pie"},
                  {"x", ""},
                  {"y", ""},
                  {"data", {{"title", ""}, {"columns", Json::array()}, {"rows", Json::array()}}}}))
            .find("v#/blocks/0/draw") == 0);
  CHECK(fault_of(with({{"kind", "heatmap"},
                       {"title", ""},
                       {"rows", ""},
                       {"columns", ""},
                       {"value", ""},
                       {"row_names", {"a"}},
                       {"column_names", {"b"}},
                       {"values", {{1, 2}}}}))
            .find("v#/blocks/0/values/0: expected a value for each column") == 0);
}

TEST_CASE("Blocks without anything to show are left out") {
  Report report("sample", "A sample");
  report.add(Tiles{});
  report.add(Table{"", {"a"}, {}});
  report.add(Detail{});
  report.add(Chart{});
  report.add(HeatMap{});
  CHECK(report.blocks().empty());
  report.about("model", "");
  CHECK(report.view().about.empty());
}

TEST_CASE("A large map of sums is summed to fewer rows and columns, and nothing is lost") {
  HeatMap map = samples::heat_map(10, 10);
  map.values[9][9] = 5;
  const HeatMap small = summed_to(map, 4);
  CHECK(small.row_names == std::vector<std::string>{"0-2", "3-5", "6-8", "9"});
  CHECK(small.values[0] == std::vector<double>{9, 9, 9, 3});
  CHECK(small.values[3] == std::vector<double>{3, 3, 3, 5});
  CHECK(summed_to(map, 10).values == map.values);
}
