// SPDX-License-Identifier: Apache-2.0
#include "moeshift/simulate/latency_histogram.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "moeshift/core/rng.hpp"

#include "tests/support/catch.hpp"

using namespace moeshift;

TEST_CASE("percentiles are within a tenth of a percent of the sorted values") {
  Rng rng(7);
  LatencyHistogram histogram;
  std::vector<double> values;
  for (int i = 0; i < 20'000; ++i) {
    values.push_back(1e-3 * std::exp(2 * rng.normal()));
    histogram.add(Seconds(values.back()));
  }
  std::sort(values.begin(), values.end());
  for (const double share : {0.01, 0.5, 0.9, 0.99, 0.999}) {
    const auto rank = static_cast<std::size_t>(std::ceil(share * 20'000)) - 1;
    REQUIRE(histogram.quantile(share).count() == Approx(values[rank]).epsilon(1e-3));
  }
  REQUIRE(histogram.largest().count() == values.back());
  REQUIRE(histogram.count() == 20'000);
}

TEST_CASE("one value is every percentile of itself") {
  LatencyHistogram histogram;
  for (int i = 0; i < 5; ++i) histogram.add(Seconds(0.0371));
  for (const double share : {0.0, 0.5, 1.0}) REQUIRE(histogram.quantile(share) == Seconds(0.0371));
  REQUIRE(histogram.mean().count() == Approx(0.0371).epsilon(1e-12));
}

TEST_CASE("durations out of range are counted at the edge") {
  LatencyHistogram histogram;
  histogram.add(Seconds(0));
  histogram.add(Seconds(1e9));
  REQUIRE(histogram.count() == 2);
  REQUIRE(histogram.largest() == Seconds(1e9));
  REQUIRE(LatencyHistogram().quantile(0.5) == Seconds(0));
}
