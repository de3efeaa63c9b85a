// SPDX-License-Identifier: Apache-2.0
#include "moeshift/simulate/latency_histogram.hpp"

#include <algorithm>
#include <cmath>

namespace moeshift {
namespace {

constexpr double kShortest = 1e-9;
constexpr double kLongest = 1e5;
constexpr double kAccuracy = 0.0005;
const double kLogGrowth = std::log((1 + kAccuracy) / (1 - kAccuracy));

std::size_t bucket_of(double seconds) {
  const double bounded = std::clamp(seconds, kShortest, kLongest);
  return static_cast<std::size_t>(std::log(bounded / kShortest) / kLogGrowth);
}

/// The middle of a bucket in the sense that no value in it is further off than kAccuracy.
double value_of(std::size_t bucket) {
  const double low = kShortest * std::exp(static_cast<double>(bucket) * kLogGrowth);
  return low * (1 + kAccuracy);
}

}  // namespace

LatencyHistogram::LatencyHistogram() : buckets_(bucket_of(kLongest) + 1) {}

void LatencyHistogram::add(Seconds value) {
  smallest_ = count_ == 0 ? value : std::min(smallest_, value);
  largest_ = count_ == 0 ? value : std::max(largest_, value);
  sum_ += value;
  ++count_;
  ++buckets_[bucket_of(value.count())];
}

Seconds LatencyHistogram::mean() const {
  return count_ == 0 ? Seconds() : sum_ / static_cast<double>(count_);
}

Seconds LatencyHistogram::quantile(double share) const {
  if (count_ == 0) return {};
  const auto rank = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(count_)));
  std::uint64_t seen = 0;
  std::size_t bucket = 0;
  for (; bucket + 1 < buckets_.size(); ++bucket) {
    seen += buckets_[bucket];
    if (seen >= std::max<std::uint64_t>(rank, 1)) break;
  }
  return std::clamp(Seconds(value_of(bucket)), smallest_, largest_);
}

}  // namespace moeshift
