// SPDX-License-Identifier: Apache-2.0
#include "moeshift/report/table.hpp"

#include "tests/support/catch.hpp"

using namespace moeshift;

TEST_CASE("Bytes and seconds keep three significant digits and step up a unit in time") {
  CHECK(human(Bytes(0)) == "0 B");
  CHECK(human(Bytes(999)) == "999 B");
  CHECK(human(Bytes(44'051'456)) == "44.1 MB");
  CHECK(human(Bytes(999'600'000)) == "1.00 GB");
  CHECK(human(Seconds(0.00123)) == "1.23 ms");
  CHECK(human(Seconds(0)) == "0 s");
  CHECK(human(Seconds(2e-3)) == "2.00 ms");  // as many digits as its neighbours in a column
  CHECK(human(Seconds(-25e-6)) == "-25.0 us");
  CHECK(human(Seconds(999.4e-6)) == "999 us");
  CHECK(human(Seconds(999.7e-6)) == "1.00 ms");
  CHECK(human(Seconds(0.9996)) == "1.00 s");
  CHECK(human(Seconds(12345)) == "12345 s");
  CHECK(human(Seconds(3e-10)) == "0.30 ns");
  CHECK(human(BytesPerSecond(370e9)) == "370 GB/s");
}

TEST_CASE("Counts are grouped by thousands with their sign in front") {
  CHECK(human_count(1234567) == "1,234,567");
  CHECK(human_count(-1234) == "-1,234");
  CHECK(human_count(999) == "999");
}

TEST_CASE("A figure for programs reads back as the same double") {
  for (const double value : {0.1, 1.0 / 3.0, 1e-300, 123456789.123}) {
    CHECK(std::stod(round_trip(value)) == value);
  }
}

TEST_CASE("Width counts code points and a sparkline has one per value") {
  CHECK(display_width("größe") == 5);
  CHECK(display_width(sparkline({0, 1, 2})) == 3);
  CHECK(sparkline({0, 2}) == "▁█");
  CHECK(sparkline({0, 0}) == "▁▁");
}
