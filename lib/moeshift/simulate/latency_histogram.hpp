// SPDX-License-Identifier: Apache-2.0
// Percentiles of any number of durations in fixed memory.
#pragma once

#include <cstdint>
#include <vector>

#include "moeshift/core/units.hpp"

namespace moeshift {

/// A histogram with geometric buckets (the sketch of Masson, Rim and Lee: DDSketch, VLDB 2019):
/// every quantile is within 0.05 % of an observed value of that rank; mean, smallest and largest
/// are exact. 256 KiB, whatever the number of values. Durations from 1 ns to 10^5 s; others are
/// counted in the outermost buckets.
class LatencyHistogram {
 public:
  LatencyHistogram();

  void add(Seconds value);

  [[nodiscard]] std::uint64_t count() const { return count_; }
  [[nodiscard]] Seconds sum() const { return sum_; }
  /// 0 when empty, as all that follow.
  [[nodiscard]] Seconds mean() const;
  [[nodiscard]] Seconds largest() const { return largest_; }
  /// The value of rank ceil(share * count), share in [0, 1].
  [[nodiscard]] Seconds quantile(double share) const;

 private:
  std::vector<std::uint64_t> buckets_;
  std::uint64_t count_ = 0;
  Seconds sum_;
  Seconds smallest_;
  Seconds largest_;
};

}  // namespace moeshift
