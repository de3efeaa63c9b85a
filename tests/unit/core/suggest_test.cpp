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
