// SPDX-License-Identifier: Apache-2.0
#include "moeshift/forecast/load_ring.hpp"

#include <algorithm>
#include <span>

#include "moeshift/core/error.hpp"

namespace moeshift {

void LoadRing::push(const LoadMatrix& load) {
  if (loads_.empty()) sum_ = LoadMatrix(load.rows(), load.columns());
  MOESHIFT_CHECK(load.rows() == sum_.rows() && load.columns() == sum_.columns());
  const std::span<double> sum = sum_.items();
  const std::span<const double> newest = load.items();
  if (loads_.size() < capacity_) {
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += newest[i];
    loads_.push_back(load);
    return;
  }
  const std::span<double> oldest = loads_[next_].items();
  for (std::size_t i = 0; i < sum.size(); ++i) {
    sum[i] += newest[i] - oldest[i];
    oldest[i] = newest[i];
  }
  next_ = (next_ + 1) % capacity_;
}

LoadMatrix LoadRing::mean() const {
  MOESHIFT_CHECK(!loads_.empty());
  LoadMatrix mean = sum_;
  // Loads that are no whole numbers leave rounding errors in the running sum; none may be negative.
  for (double& tokens : mean.items()) {
    tokens = std::max(0.0, tokens) / static_cast<double>(loads_.size());
  }
  return mean;
}

std::vector<LoadMatrix> LoadRing::oldest_first() const {
  std::vector<LoadMatrix> ordered;
  ordered.reserve(loads_.size());
  for (std::size_t i = 0; i < loads_.size(); ++i) {
    ordered.push_back(loads_[(next_ + i) % loads_.size()]);
  }
  return ordered;
}

}  // namespace moeshift
