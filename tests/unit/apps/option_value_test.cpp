// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/cli/option_value.hpp"

#include "moeshift/core/error.hpp"

#include "tests/support/catch.hpp"

using namespace moeshift;
using namespace moeshift::cli;

TEST_CASE("A count has no sign and no fraction and no unit") {
  CHECK(parse_count("--ranks", "32") == 32);
  for (const char* word : {"-3", "+3", "3.0", "3x", "", " 3", "99999999999999999999"}) {
    CHECK_THROWS_AS(parse_count("--ranks", word), InputError);
  }
}

TEST_CASE("A number is finite") {
  CHECK(parse_number("--x", "1e-3") == 1e-3);
  CHECK(parse_number("--x", "-2.5") == -2.5);
  for (const char* word : {"nan", "inf", "1e999", "1,5", "one"}) {
    CHECK_THROWS_AS(parse_number("--x", word), InputError);
  }
}

TEST_CASE("GB is a power of ten and GiB a power of two") {
  CHECK(parse_bytes("--b", "512").count() == 512);
  CHECK(parse_bytes("--b", "44MB").count() == 44'000'000);
  CHECK(parse_bytes("--b", "1.5GiB").count() == 1'610'612'736);
  CHECK(parse_bytes("--b", "2kB").count() == 2000);
  for (const char* word : {"1.5", "-1GB", "5XB", "GB", "1e30TB", "inf"}) {
    CHECK_THROWS_AS(parse_bytes("--b", word), InputError);
  }
}

TEST_CASE("Of several counts none is 0") {
  CHECK(parse_counts("--slots", {"1", "288"}) == std::vector<std::size_t>{1, 288});
  CHECK_THROWS_AS(parse_counts("--slots", {"1", "0"}), InputError);
}
