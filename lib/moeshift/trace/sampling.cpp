// SPDX-License-Identifier: Apache-2.0
#include "moeshift/trace/sampling.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

/// log k! minus Stirling's formula for it: the tail of the series, exact values for small k.
double stirling_tail(double k) {
  constexpr std::array kExact{0.0810614667953272,  0.0413406959554092, 0.0276779256849983,
                              0.02079067210376509, 0.0166446911898211, 0.0138761288230707,
                              0.0118967099458917,  0.0104112652619720, 0.00925546218271273,
                              0.00833056343336287};
  if (k < static_cast<double>(kExact.size())) return kExact[static_cast<std::size_t>(k)];
  const double square = (k + 1) * (k + 1);
  return (1.0 / 12 - (1.0 / 360 - 1.0 / 1260 / square) / square) / (k + 1);
}

/// Walks up the distribution function; takes trials * p steps on average.
std::int64_t binomial_by_inversion(Rng& rng, double trials, double p) {
  const double odds = p / (1 - p);
  double mass = std::exp(trials * std::log1p(-p));
  double u = rng.uniform();
  double successes = 0;
  while (u > mass && successes < trials) {
    u -= mass;
    ++successes;
    mass *= (trials - successes + 1) / successes * odds;
  }
  return static_cast<std::int64_t>(successes);
}

/// Hoermann's BTRS; p <= 0.5 and trials * p >= 10. Names as in the paper.
std::int64_t binomial_by_rejection(Rng& rng, double n, double p) {
  const double spread = std::sqrt(n * p * (1 - p));
  const double b = 1.15 + 2.53 * spread;
  const double a = -0.0873 + 0.0248 * b + 0.01 * p;
  const double c = n * p + 0.5;
  const double v_r = 0.92 - 4.2 / b;
  const double r = p / (1 - p);
  const double alpha = (2.83 + 5.1 / b) * spread;
  const double m = std::floor((n + 1) * p);
  while (true) {
    const double u = rng.uniform() - 0.5;
    const double v = rng.uniform();
    const double us = 0.5 - std::abs(u);
    const double k = std::floor((2 * a / us + b) * u + c);
    if (k < 0 || k > n) continue;
    if (us >= 0.07 && v <= v_r) return static_cast<std::int64_t>(k);
    const double accepted = (m + 0.5) * std::log((m + 1) / (r * (n - m + 1))) +
                            (n + 1) * std::log((n - m + 1) / (n - k + 1)) +
                            (k + 0.5) * std::log(r * (n - k + 1) / (k + 1)) + stirling_tail(m) +
                            stirling_tail(n - m) - stirling_tail(k) - stirling_tail(n - k);
    if (std::log(v * alpha / (a / (us * us) + b)) <= accepted) return static_cast<std::int64_t>(k);
  }
}

}  // namespace

double sample_gamma(Rng& rng, double shape) {
  MOESHIFT_CHECK(shape > 0);
  if (shape < 1) {
    const double boost = std::pow(1 - rng.uniform(), 1 / shape);
    return sample_gamma(rng, shape + 1) * boost;
  }
  const double d = shape - 1.0 / 3;
  const double c = 1 / std::sqrt(9 * d);
  while (true) {
    const double x = rng.normal();
    const double root = 1 + c * x;
    if (root <= 0) continue;
    const double v = root * root * root;
    if (std::log(1 - rng.uniform()) < 0.5 * x * x + d - d * v + d * std::log(v)) return d * v;
  }
}

std::int64_t sample_binomial(Rng& rng, std::int64_t trials, double p) {
  MOESHIFT_CHECK(trials >= 0 && p >= 0 && p <= 1);
  if (trials == 0 || p == 0) return 0;
  if (p > 0.5) return trials - sample_binomial(rng, trials, 1 - p);
  const auto n = static_cast<double>(trials);
  return n * p < 10 ? binomial_by_inversion(rng, n, p) : binomial_by_rejection(rng, n, p);
}

void sample_multinomial(Rng& rng, std::int64_t trials, std::span<const double> shares,
                        std::span<std::int64_t> counts) {
  MOESHIFT_CHECK(shares.size() == counts.size());
  std::vector<double> left(shares.size() + 1, 0.0);  // shares of this bin and those after it
  for (std::size_t i = shares.size(); i > 0; --i) left[i - 1] = left[i] + shares[i - 1];
  MOESHIFT_CHECK(trials == 0 || left[0] > 0);
  for (std::size_t i = 0; i < shares.size() && trials > 0; ++i) {
    if (shares[i] <= 0) continue;
    const bool last = left[i + 1] <= 0;
    const std::int64_t drawn =
        last ? trials : sample_binomial(rng, trials, std::min(1.0, shares[i] / left[i]));
    counts[i] += drawn;
    trials -= drawn;
  }
}

std::vector<double> sample_dirichlet(Rng& rng, std::span<const double> means, double trials,
                                     double dispersion) {
  std::vector<double> shares(means.begin(), means.end());
  if (dispersion <= 1) return shares;
  const double concentration = (trials - dispersion) / (dispersion - 1);
  for (double& share : shares) {
    const double shape = concentration * share;
    share = shape > 0 ? sample_gamma(rng, shape) : 0.0;
  }
  const double total = std::accumulate(shares.begin(), shares.end(), 0.0);
  if (!(total > 0)) return {means.begin(), means.end()};
  for (double& share : shares) share /= total;
  return shares;
}

}  // namespace moeshift
