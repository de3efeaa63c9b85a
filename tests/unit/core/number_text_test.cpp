// SPDX-License-Identifier: Apache-2.0
#include "moeshift/core/number_text.hpp"

#include "tests/support/catch.hpp"

using moeshift::counted;
using moeshift::fixed;
using moeshift::fixed_with_sign;
using moeshift::grouped;

TEST_CASE("thousands are set apart, of negative numbers too") {
  CHECK(grouped(0) == "0");
  CHECK(grouped(999) == "999");
  CHECK(grouped(1000) == "1,000");
  CHECK(grouped(-999) == "-999");
  CHECK(grouped(-1234567) == "-1,234,567");
}

TEST_CASE("one is not many") {
  CHECK(counted(1, "node") == "1 node");
  CHECK(counted(0, "node") == "0 nodes");
  CHECK(counted(16704, "slot") == "16,704 slots");
  CHECK(counted(1, "copy", "copies") == "1 copy");
  CHECK(counted(2, "copy", "copies") == "2 copies");
}

TEST_CASE("what rounds to zero has no sign unless one is asked for, then it is a plus") {
  CHECK(fixed(-0.00004, 4) == "0.0000");
  CHECK(fixed(-0.00006, 4) == "-0.0001");
  CHECK(fixed(-0.4, 0) == "0");
  CHECK(fixed(-10, 0) == "-10");
  CHECK(fixed_with_sign(-0.04, 1) == "+0.0");
  CHECK(fixed_with_sign(-0.06, 1) == "-0.1");
  CHECK(fixed_with_sign(2, 1) == "+2.0");
}
