// SPDX-License-Identifier: Apache-2.0
#include "moeshift/trace/sampling.hpp"

#include <array>
#include <cmath>
#include <numeric>

#include "tests/support/catch.hpp"

using namespace moeshift;

namespace {

struct Moments {
  double mean = 0;
  double variance = 0;
};

template <class Sampler>
Moments moments_of(int count, Sampler sampler) {
  double sum = 0;
  double squares = 0;
  for (int i = 0; i < count; ++i) {
    const double x = sampler();
    sum += x;
    squares += x * x;
  }
  const double mean = sum / count;
  return {mean, squares / count - mean * mean};
}

}  // namespace

TEST_CASE("gamma variates have mean and variance equal to their shape") {
  Rng rng(1);
  for (const double shape : {0.05, 0.5, 1.0, 1.5, 30.0, 5000.0}) {
    INFO("shape " << shape);
    const Moments m = moments_of(200'000, [&] { return sample_gamma(rng, shape); });
    CHECK(m.mean == Approx(shape).epsilon(0.03));
    CHECK(m.variance == Approx(shape).epsilon(0.06));
  }
}

TEST_CASE("binomial variates have the mean and variance of their distribution") {
  Rng rng(2);
  for (const std::int64_t trials : {1, 7, 40, 1000, 1'000'000}) {
    for (const double p : {1e-4, 0.02, 0.3, 0.5, 0.77, 0.999}) {
      INFO("trials " << trials << " p " << p);
      const double n = static_cast<double>(trials);
      const Moments m =
          moments_of(100'000, [&] { return static_cast<double>(sample_binomial(rng, trials, p)); });
      const double variance = n * p * (1 - p);
      CHECK(std::abs(m.mean - n * p) < 5 * std::sqrt(variance / 100'000) + 1e-12);
      const double spread = std::max(0.03, 10 / std::sqrt(100'000 * std::min(1.0, variance)));
      CHECK(m.variance == Approx(variance).margin(spread * variance));
    }
  }
  CHECK(sample_binomial(rng, 10, 0) == 0);
  CHECK(sample_binomial(rng, 10, 1) == 10);
}

TEST_CASE("binomial variates follow their probability mass function") {
  // chi-squared over both algorithms, 0.999 quantile of the degrees of freedom
  for (const auto& [trials, p, limit] :
       {std::array{20.0, 0.3, 37.7}, std::array{60.0, 0.4, 59.7}}) {
    Rng rng(3);
    std::vector<double> seen(static_cast<std::size_t>(trials) + 1, 0);
    constexpr int kDraws = 200'000;
    for (int i = 0; i < kDraws; ++i) {
      ++seen[static_cast<std::size_t>(sample_binomial(rng, static_cast<std::int64_t>(trials), p))];
    }
    double chi = 0;
    for (std::size_t k = 0; k < seen.size(); ++k) {
      const double x = static_cast<double>(k);
      const double mass =
          std::exp(std::lgamma(trials + 1) - std::lgamma(x + 1) - std::lgamma(trials - x + 1) +
                   x * std::log(p) + (trials - x) * std::log(1 - p));
      if (mass * kDraws < 5) continue;
      chi += (seen[k] - mass * kDraws) * (seen[k] - mass * kDraws) / (mass * kDraws);
    }
    CHECK(chi < limit);
  }
}

TEST_CASE("multinomial counts sum to the trials and skip empty bins") {
  Rng rng(4);
  const std::vector<double> shares{0.5, 0, 0.25, 1.25, 0};
  std::vector<double> totals(5, 0);
  for (int i = 0; i < 2000; ++i) {
    std::vector<std::int64_t> counts(5, 0);
    sample_multinomial(rng, 100, shares, counts);
    REQUIRE(std::accumulate(counts.begin(), counts.end(), std::int64_t{0}) == 100);
    for (std::size_t b = 0; b < 5; ++b) totals[b] += static_cast<double>(counts[b]);
  }
  CHECK(totals[1] == 0);
  CHECK(totals[4] == 0);
  CHECK(totals[0] / 200'000 == Approx(0.25).epsilon(0.02));
  CHECK(totals[3] / 200'000 == Approx(0.625).epsilon(0.02));
}

TEST_CASE("Dirichlet shares give the dispersion that was asked for") {
  Rng rng(5);
  const std::vector<double> means{0.1, 0.2, 0.7};
  for (const double dispersion : {1.0, 2.0, 5.0}) {
    const Moments m = moments_of(50'000, [&] {
      const auto shares = sample_dirichlet(rng, means, 400, dispersion);
      std::vector<std::int64_t> counts(3, 0);
      sample_multinomial(rng, 400, shares, counts);
      return static_cast<double>(counts[1]);
    });
    CHECK(m.mean == Approx(80).epsilon(0.01));
    CHECK(m.variance / (400 * 0.2 * 0.8) == Approx(dispersion).epsilon(0.05));
  }
}
