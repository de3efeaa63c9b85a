// SPDX-License-Identifier: Apache-2.0
#include "moeshift/report/chrome_trace.hpp"

#include <sstream>

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
  REQUIRE(events.size() == 3);
  CHECK(events[0].at("args").at("name") == "rank 3");
  CHECK(events[2].at("ph") == "X");
  CHECK(events[2].at("ts") == 500000.0);
  CHECK(events[2].at("dur") == 250000.0);
  CHECK(events[2].at("args").at("bytes") == "44");
}
