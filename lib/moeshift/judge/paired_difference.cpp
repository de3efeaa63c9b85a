// SPDX-License-Identifier: Apache-2.0
#include "moeshift/judge/paired_difference.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <numeric>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/core/number_text.hpp"
#include "moeshift/core/rng.hpp"

namespace moeshift {
namespace {

double mean_of(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// Autocovariances at lags 0 .. last.
std::vector<double> autocovariances(std::span<const double> series, std::size_t last) {
  const double mean = mean_of(series);
  std::vector<double> covariances;
  for (std::size_t lag = 0; lag <= last; ++lag) {
    double sum = 0;
    for (std::size_t i = lag; i < series.size(); ++i) {
      sum += (series[i] - mean) * (series[i - lag] - mean);
    }
    covariances.push_back(sum / static_cast<double>(series.size()));
  }
  return covariances;
}

/// The first lag after which a few in a row are as small as chance makes them.
std::size_t last_correlated_lag(std::span<const double> covariances, std::size_t length) {
  constexpr std::size_t kInARow = 5;
  const double n = static_cast<double>(length);
  const double noise = 2 * std::sqrt(std::log10(n) / n) * covariances[0];
  std::size_t quiet = 0;
  for (std::size_t lag = 1; lag < covariances.size(); ++lag) {
    quiet = std::abs(covariances[lag]) < noise ? quiet + 1 : 0;
    if (quiet == kInARow) return lag - kInARow;
  }
  return covariances.size() - 1 - quiet;
}

/// P(|T| < t); Abramowitz and Stegun 26.7.3 and 26.7.4.
double student_probability(double t, std::size_t freedom) {
  const double angle = std::atan(t / std::sqrt(static_cast<double>(freedom)));
  const double cosine2 = std::cos(angle) * std::cos(angle);
  const bool odd = freedom % 2 == 1;
  double term = odd ? std::cos(angle) : 1;
  double sum = freedom == 1 ? 0 : term;
  for (std::size_t i = odd ? 3 : 2; i + 1 < freedom; i += 2) {
    term *= cosine2 * static_cast<double>(i - 1) / static_cast<double>(i);
    sum += term;
  }
  if (!odd) return std::sin(angle) * sum;
  return 2 / std::numbers::pi * (angle + std::sin(angle) * sum);
}

double standard_deviation(std::span<const double> values, double mean) {
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / static_cast<double>(values.size() - 1));
}

/// Sorted means of series glued together from blocks of the differences.
std::vector<double> resampled_means(std::span<const double> differences, std::size_t block,
                                    const DifferenceOptions& options) {
  const std::size_t n = differences.size();
  std::vector<double> sums(n + 1, 0.0);
  std::partial_sum(differences.begin(), differences.end(), sums.begin() + 1);
  Rng rng(options.seed);
  std::vector<double> means(options.resamples);
  for (double& mean : means) {
    double sum = 0;
    for (std::size_t filled = 0; filled < n; filled += block) {
      const std::size_t first = rng.below(static_cast<std::uint32_t>(n - block + 1));
      sum += sums[first + std::min(block, n - filled)] - sums[first];
    }
    mean = sum / static_cast<double>(n);
  }
  std::sort(means.begin(), means.end());
  return means;
}

void student_interval(std::span<const double> differences, double level, PairedDifference& out) {
  out.method = IntervalMethod::kStudent;
  out.block = 1;
  const double error = standard_deviation(differences, out.mean) /
                       std::sqrt(static_cast<double>(differences.size()));
  const double half = student_quantile(level, differences.size() - 1) * error;
  out.low = out.mean - half;
  out.high = out.mean + half;
}

void bootstrap_interval(std::span<const double> differences, const DifferenceOptions& options,
                        PairedDifference& out) {
  out.method = IntervalMethod::kBootstrap;
  out.block = block_length(differences);
  const std::vector<double> means = resampled_means(differences, out.block, options);
  const auto blocks = static_cast<double>(differences.size()) / static_cast<double>(out.block);
  constexpr std::size_t kNearlyNormal = 1000;
  const double widening =
      student_quantile(options.level, static_cast<std::size_t>(std::max(1.0, blocks - 1))) /
      student_quantile(options.level, kNearlyNormal) * std::sqrt(blocks / (blocks - 1));
  const double centre = mean_of(means);
  const auto at = [&](double share) {
    const auto last = static_cast<double>(means.size() - 1);
    return means[static_cast<std::size_t>(std::lround(share * last))] - centre;
  };
  out.low = out.mean + std::min(0.0, widening * at((1 - options.level) / 2));
  out.high = out.mean + std::max(0.0, widening * at((1 + options.level) / 2));
}

}  // namespace

std::string_view name_of(IntervalMethod method) {
  static constexpr std::array<std::string_view, 3> kNames = {"none", "student", "bootstrap"};
  return kNames[static_cast<std::size_t>(method)];
}

double student_quantile(double level, std::size_t freedom) {
  MOESHIFT_CHECK(level > 0 && level < 1 && freedom >= 1);
  double low = 0;
  double high = 1;
  while (student_probability(high, freedom) < level) high *= 2;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (student_probability(middle, freedom) < level ? low : high) = middle;
  }
  return high;
}

std::size_t block_length(std::span<const double> series) {
  if (series.size() < 8) return 1;
  const std::vector<double> covariances = autocovariances(series, series.size() / 2);
  if (covariances[0] <= 0) return 1;
  const std::size_t correlated = last_correlated_lag(covariances, series.size());
  const std::size_t width = std::min(2 * correlated, covariances.size() - 1);
  // What chance hides in short series: blocks are never shorter than the cube root.
  const auto shortest =
      static_cast<std::size_t>(std::cbrt(static_cast<double>(series.size())) + 1e-9);
  if (correlated == 0) return shortest;
  double spectrum = covariances[0];
  double slope = 0;
  for (std::size_t lag = 1; lag <= width; ++lag) {
    const double share = static_cast<double>(lag) / static_cast<double>(width);
    const double weight = share <= 0.5 ? 1 : 2 * (1 - share);  // a flat top
    spectrum += 2 * weight * covariances[lag];
    slope += 2 * weight * static_cast<double>(lag) * covariances[lag];
  }
  const std::size_t longest = series.size() / 4;
  if (spectrum <= 0) return longest;
  const double best =
      std::cbrt(1.5 * slope * slope / (spectrum * spectrum) * static_cast<double>(series.size()));
  return std::clamp<std::size_t>(static_cast<std::size_t>(std::ceil(best)), shortest, longest);
}

PairedDifference paired_difference(std::span<const double> a, std::span<const double> b,
                                   const DifferenceOptions& options) {
  MOESHIFT_CHECK(a.size() == b.size() && options.resamples >= 2);
  PairedDifference difference;
  difference.pairs = a.size();
  if (a.empty()) return difference;
  std::vector<double> differences(a.size());
  std::transform(a.begin(), a.end(), b.begin(), differences.begin(), std::minus<>());
  difference.mean = difference.low = difference.high = mean_of(differences);
  if (a.size() < 2) return difference;
  if (a.size() < kFewPairs) {
    student_interval(differences, options.level, difference);
  } else {
    bootstrap_interval(differences, options, difference);
  }
  return difference;
}

std::string share_text(const PairedDifference& difference, double whole) {
  const auto percent = [&](double value) { return 100 * value / whole; };
  const std::string mean = fixed(percent(difference.mean), 1) + " %";
  if (difference.method == IntervalMethod::kNone) return mean;
  return fmt::format("{} (95 % interval {} to {} %)", mean, fixed(percent(difference.low), 1),
                     fixed(percent(difference.high), 1));
}

}  // namespace moeshift
