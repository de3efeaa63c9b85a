// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/lower_bound.hpp"

#include <algorithm>
#include <numeric>

#include "moeshift/core/error.hpp"

namespace moeshift {

double lower_bound(std::span<const double> load, std::size_t ranks, std::size_t slots) {
  MOESHIFT_CHECK(!load.empty() && ranks > 0 && slots >= load.size());
  const double mean = std::accumulate(load.begin(), load.end(), 0.0) / static_cast<double>(ranks);
  const double hottest = *std::max_element(load.begin(), load.end());
  const std::size_t most_replicas = slots - load.size() + 1;
  return std::max(mean, hottest / static_cast<double>(most_replicas));
}

}  // namespace moeshift
