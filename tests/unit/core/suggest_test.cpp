// SPDX-License-Identifier: Apache-2.0
#include "moeshift/core/suggest.hpp"

#include <array>

#include "tests/support/catch.hpp"

TEST_CASE("A mistyped name finds its neighbour and nonsense finds nothing") {
  static constexpr std::array<std::string_view, 3> kKnown = {"plan", "moves", "execute"};
  CHECK(moeshift::did_you_mean("plna", kKnown) == "; did you mean 'plan'?");
  CHECK(moeshift::did_you_mean("excute", kKnown) == "; did you mean 'execute'?");
  CHECK(moeshift::did_you_mean("zzzzzz", kKnown).empty());
}

TEST_CASE("The beginning of a long name finds it, two letters find nothing") {
  static constexpr std::array<std::string_view, 2> kKnown = {"gpt_oss_20b_mxfp4", "kimi_k2_fp8"};
  CHECK(moeshift::did_you_mean("kimi", kKnown) == "; did you mean 'kimi_k2_fp8'?");
  CHECK(moeshift::did_you_mean("ki", kKnown).empty());
}
