// SPDX-License-Identifier: Apache-2.0
#include "moeshift/judge/paired_difference.hpp"

#include <cmath>
#include <vector>

#include "moeshift/core/rng.hpp"
#include "moeshift/judge/ranking.hpp"

#include "tests/support/catch.hpp"

using namespace moeshift;

namespace {

/// AR(1) around `mean` with unit variance.
std::vector<double> series_of(Rng& rng, std::size_t length, double mean, double correlation) {
  std::vector<double> series;
  double state = rng.normal();
  for (std::size_t i = 0; i < length; ++i) {
    series.push_back(mean + state);
    state = correlation * state + std::sqrt(1 - correlation * correlation) * rng.normal();
  }
  return series;
}

/// Share of intervals that hold the true difference.
double coverage(std::size_t length, double correlation, std::uint64_t seed) {
  constexpr int kTrials = 400;
  Rng rng(seed);
  int held = 0;
  for (int trial = 0; trial < kTrials; ++trial) {
    const std::vector<double> a = series_of(rng, length, 0.7, correlation);
    const std::vector<double> b(length, 0.5);
    const PairedDifference difference =
        paired_difference(a, b, {.level = 0.95, .seed = seed, .resamples = 400});
    held += difference.low <= 0.2 && 0.2 <= difference.high ? 1 : 0;
  }
  return static_cast<double>(held) / kTrials;
}

}  // namespace

TEST_CASE("95 % intervals of independent pairs hold the true difference 95 times in 100") {
  CHECK(coverage(60, 0, 1) == Approx(0.95).margin(0.03));
}

TEST_CASE("intervals of few pairs hold the true difference as often") {
  CHECK(coverage(6, 0, 2) == Approx(0.95).margin(0.03));
}

TEST_CASE("intervals of pairs that resemble their neighbours stay honest") {
  CHECK(coverage(200, 0.7, 3) > 0.90);
  CHECK(coverage(60, 0.5, 4) > 0.88);
}

TEST_CASE("a common trend of both series does not widen their difference") {
  std::vector<double> a;
  std::vector<double> b;
  Rng rng(5);
  for (int i = 0; i < 40; ++i) {
    b.push_back(std::sin(i * 0.2) + 0.1 * i);
    a.push_back(b.back() + 0.01 + 0.001 * rng.normal());
  }
  const PairedDifference difference = paired_difference(a, b);
  CHECK(difference.certain());
  CHECK(difference.mean == Approx(0.01).margin(0.001));
  CHECK(difference.high - difference.low < 0.002);
}

TEST_CASE("one pair has a difference and no interval") {
  const std::vector<double> a = {2};
  const std::vector<double> b = {1};
  const PairedDifference difference = paired_difference(a, b);
  CHECK(difference.mean == 1);
  CHECK(difference.method == IntervalMethod::kNone);
  CHECK_FALSE(difference.certain());
}

TEST_CASE("equal series differ by nothing, for certain or not") {
  const std::vector<double> a(30, 1.5);
  const PairedDifference difference = paired_difference(a, a);
  CHECK(difference.mean == 0);
  CHECK_FALSE(difference.certain());
}

TEST_CASE("few pairs take Student's interval, worked out by hand") {
  const std::vector<double> a = {1, 2, 3, 4};
  const std::vector<double> b = {0, 0, 0, 0};
  const PairedDifference difference = paired_difference(a, b);
  CHECK(difference.method == IntervalMethod::kStudent);
  const double half = 3.182446305284263 * std::sqrt(5.0 / 3.0) / 2;
  CHECK(difference.low == Approx(2.5 - half));
  CHECK(difference.high == Approx(2.5 + half));
}

TEST_CASE("quantiles of Student's T are those of the tables") {
  CHECK(student_quantile(0.95, 1) == Approx(12.7062047));
  CHECK(student_quantile(0.95, 2) == Approx(4.3026527));
  CHECK(student_quantile(0.95, 5) == Approx(2.5705818));
  CHECK(student_quantile(0.99, 10) == Approx(3.1692727));
  CHECK(student_quantile(0.95, 1000) == Approx(1.9623391));
}

TEST_CASE("equal seeds give equal intervals") {
  Rng rng(6);
  const std::vector<double> a = series_of(rng, 50, 1, 0.3);
  const std::vector<double> b = series_of(rng, 50, 0, 0.3);
  const PairedDifference once = paired_difference(a, b, {.seed = 9});
  const PairedDifference again = paired_difference(a, b, {.seed = 9});
  CHECK(once.low == again.low);
  CHECK(once.high == again.high);
}

TEST_CASE("blocks grow with what neighbours have in common") {
  Rng rng(7);
  CHECK(block_length(series_of(rng, 400, 0, 0)) <= 8);
  CHECK(block_length(series_of(rng, 400, 0, 0.9)) > 12);
  CHECK(block_length(std::vector<double>(50, 1.0)) == 1);
}

TEST_CASE("an alternative is Pareto-optimal unless another is as good in both and better in one") {
  const std::vector<Tradeoff> tradeoffs = {{1, 0}, {2, 5}, {2, 6}, {1.5, 7}, {3, 9}, {3, 9}};
  CHECK(pareto_optimal(tradeoffs) == std::vector<bool>{true, true, false, false, true, true});
}
