// SPDX-License-Identifier: Apache-2.0
#include "moeshift/core/error.hpp"
#include "moeshift/forecast/forecaster.hpp"

#include "tests/support/catch.hpp"

using namespace moeshift;

TEST_CASE("every documented form of a forecaster is read") {
  for (const char* spec :
       {"last", "mean:1", "mean:1000", "ewma:0.5", "ewma:1", "samples:8", "samples:8x100",
        "recentred:8", "recentred:8x100", "recentred:8x2:0.3", "recentred:8:auto"}) {
    INFO(spec);
    REQUIRE(make_forecaster(spec) != nullptr);
    REQUIRE_FALSE(make_forecaster(spec)->ready());
  }
}

TEST_CASE("a malformed forecaster is refused with the forms that exist") {
  for (const char* spec : {"",
                           "lats",
                           "last:1",
                           "mean",
                           "mean:",
                           "mean:0",
                           "mean:-1",
                           "mean:1.5",
                           "mean:99999999999999999999",
                           "ewma:0",
                           "ewma:1.5",
                           "ewma:nan",
                           "ewma",
                           "samples",
                           "samples:2x",
                           "samples:2x0",
                           "samples:2x2x2",
                           "samples:2x2:0.5",
                           "samples:2:auto",
                           "recentred:2:0",
                           "recentred:2:best",
                           "recentred:2:0.5:1"}) {
    INFO(spec);
    REQUIRE_THROWS_AS(make_forecaster(spec), InputError);
  }
}
