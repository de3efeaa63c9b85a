// SPDX-License-Identifier: Apache-2.0
#include "moeshift/report/chrome_trace.hpp"

#include <map>
#include <sstream>
#include <string>

#include <nlohmann/json.hpp>

#include "tests/support/catch.hpp"

using namespace moeshift;

TEST_CASE("Every span becomes one complete event in microseconds on its track") {
  Timeline timeline;
  const std::size_t track = timeline.track("rank 3", "stage");
  CHECK(timeline.track("rank 3", "stage") == track);
  timeline.spans.push_back({.track = track,
                            .name = "layer 7",
                            .category = "stage",
                            .start = Seconds(0.5),
                            .duration = Seconds(0.25),
                            .arguments = {{"bytes", "44"}}});
  std::ostringstream out;
  write_chrome_trace(out, timeline);
  const auto events = nlohmann::json::parse(out.str()).at("traceEvents");
  REQUIRE(events.size() == 4);
  CHECK(events[0].at("args").at("name") == "rank 3");
  CHECK(events[3].at("ph") == "X");
  CHECK(events[3].at("ts") == 500000.0);
  CHECK(events[3].at("dur") == 250000.0);
  CHECK(events[3].at("args").at("bytes") == 44);
}

TEST_CASE("Ranks stand in the order of their numbers") {
  Timeline timeline;
  for (const char* name : {"rank 10", "links", "rank 9"}) timeline.track(name, "stage");
  std::ostringstream out;
  write_chrome_trace(out, timeline);
  std::map<std::string, int> names;
  std::map<int, int> order;
  const auto document = nlohmann::json::parse(out.str());
  for (const auto& event : document.at("traceEvents")) {
    if (event.at("name") == "process_name") names[event.at("args").at("name")] = event.at("pid");
    if (event.at("name") == "process_sort_index")
      order[event.at("pid")] = event.at("args").at("sort_index");
  }
  CHECK(order.at(names.at("links")) < order.at(names.at("rank 9")));
  CHECK(order.at(names.at("rank 9")) < order.at(names.at("rank 10")));
}

TEST_CASE(
    "A flow is an arrow from inside one span to inside another, a counter a value at a time") {
  Timeline timeline;
  const std::size_t from = timeline.track("rank 0", "stage");
  const std::size_t to = timeline.track("rank 1", "stage");
  timeline.spans = {{from, "stage", "stage", Seconds(1), Seconds(2), {}},
                    {to, "stage", "stage", Seconds(1.5), Seconds(3), {}}};
  timeline.flows = {{0, 1, "2 experts"}};
  timeline.counters = {{"links", "inter_node bytes/s", Seconds(1), 5e9}};
  std::ostringstream out;
  write_chrome_trace(out, timeline);
  const auto events = nlohmann::json::parse(out.str()).at("traceEvents");
  const auto one = [&](const char* kind) {
    nlohmann::json found;
    for (const auto& event : events) {
      if (event.at("ph") == kind) found = event;
    }
    return found;
  };
  CHECK(one("s").at("id") == one("f").at("id"));
  CHECK(one("s").at("ts") == 1e6);
  CHECK(one("f").at("ts") == 4.5e6);
  CHECK(one("f").at("bp") == "e");
  CHECK(one("s").at("tid") == from + 1);
  CHECK(one("f").at("tid") == to + 1);
  CHECK(one("C").at("args").at("value") == 5e9);
  CHECK(one("C").at("ts") == 1e6);
}
