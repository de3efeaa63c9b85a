// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <initializer_list>

#include "moeshift/forecast/forecaster.hpp"
#include "moeshift/forecast/load_ring.hpp"

#include "tests/support/catch.hpp"

using namespace moeshift;

namespace {

LoadMatrix one_layer(std::initializer_list<double> tokens) {
  LoadMatrix load(1, tokens.size());
  std::copy(tokens.begin(), tokens.end(), load.items().begin());
  return load;
}

double first(const LoadMatrix& load) {
  return load.items()[0];
}

}  // namespace

TEST_CASE("last forecasts the last step and nothing else") {
  const auto forecaster = make_forecaster("last");
  forecaster->observe(one_layer({1, 2}));
  forecaster->observe(one_layer({3, 4}));
  REQUIRE(forecaster->forecast().load == one_layer({3, 4}));
  REQUIRE(forecaster->forecast().samples.empty());
}

TEST_CASE("the window mean is exact for whole numbers at every step") {
  const auto forecaster = make_forecaster("mean:3");
  for (int t = 0; t < 100; ++t) {
    forecaster->observe(one_layer({static_cast<double>(t * t)}));
    double sum = 0;
    for (int s = std::max(0, t - 2); s <= t; ++s) sum += s * s;
    REQUIRE(first(forecaster->forecast().load) == sum / std::min(3, t + 1));
  }
}

TEST_CASE("the window mean never goes below zero") {
  const auto forecaster = make_forecaster("mean:2");
  for (const double tokens : {1e16, 0.3, 0.1, 0.0, 0.0, 0.0})
    forecaster->observe(one_layer({tokens}));
  REQUIRE(first(forecaster->forecast().load) >= 0);
}

TEST_CASE("ewma follows its closed form") {
  const double alpha = 0.3;
  const auto forecaster = make_forecaster("ewma:0.3");
  forecaster->observe(one_layer({10}));
  for (int n = 1; n <= 50; ++n) {
    forecaster->observe(one_layer({20}));
    const double expected = 20 - 10 * std::pow(1 - alpha, n);
    REQUIRE(first(forecaster->forecast().load) == Approx(expected).epsilon(1e-12));
  }
}

TEST_CASE("samples are the last windows in order and their mean is the load") {
  const auto forecaster = make_forecaster("samples:2x2");
  for (const double tokens : {100, 100, 1, 3, 5, 7, 1000}) forecaster->observe(one_layer({tokens}));
  const Forecast forecast = forecaster->forecast();
  REQUIRE(forecast.samples.size() == 2);
  REQUIRE(first(forecast.samples[0]) == 2);
  REQUIRE(first(forecast.samples[1]) == 6);
  REQUIRE(first(forecast.load) == 4);
}

TEST_CASE("samples answer from the first step on") {
  const auto forecaster = make_forecaster("samples:4x10");
  forecaster->observe(one_layer({6}));
  forecaster->observe(one_layer({8}));
  REQUIRE(forecaster->ready());
  REQUIRE(first(forecaster->forecast().load) == 7);
}

TEST_CASE("recentred samples keep their shape around the newest level") {
  const auto forecaster = make_forecaster("recentred:2:1");
  forecaster->observe(one_layer({10, 0}));
  forecaster->observe(one_layer({30, 0}));
  const Forecast forecast = forecaster->forecast();
  REQUIRE(first(forecast.load) == 30);                      // alpha 1: the last window
  REQUIRE(first(forecast.samples[0]) == Approx(30 * 0.5));  // 10 of a mean of 20
  REQUIRE(first(forecast.samples[1]) == Approx(30 * 1.5));
  REQUIRE(forecast.samples[0].items()[1] == 0);  // an expert without load stays without
}

TEST_CASE("what is forecast depends on the window only however long the trace was") {
  const auto fresh = make_forecaster("samples:3x2");
  const auto old = make_forecaster("samples:3x2");
  for (int t = 0; t < 1000; ++t) old->observe(one_layer({static_cast<double>(t % 17)}));
  for (const double tokens : {4, 8, 15, 16, 23, 42}) {
    fresh->observe(one_layer({tokens}));
    old->observe(one_layer({tokens}));
  }
  REQUIRE(old->forecast().load == fresh->forecast().load);
  REQUIRE(old->forecast().samples == fresh->forecast().samples);
}

TEST_CASE("a forecast says how many tokens were counted for each that it expects") {
  const auto evidence = [](const char* spec, double tokens) {
    const auto forecaster = make_forecaster(spec);
    for (int t = 0; t < 50; ++t) forecaster->observe(one_layer({tokens}));
    return forecaster->forecast().evidence;
  };
  CHECK(evidence("mean:8", 7) == 8);
  CHECK(evidence("samples:3x2", 7) == 6);
  CHECK(evidence("ewma:0.5", 7).value_or(0) == Approx(3));
  CHECK_FALSE(evidence("mean:8", 0.7).has_value());  // no counts
  CHECK_FALSE(evidence("last", 7).has_value());      // one step: as it is
}
