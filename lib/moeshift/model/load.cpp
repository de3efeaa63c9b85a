// SPDX-License-Identifier: Apache-2.0
#include "moeshift/model/load.hpp"

#include <algorithm>
#include <numeric>

#include "moeshift/core/error.hpp"

namespace moeshift {

std::int64_t layer_id_of(const TraceHeader& trace, std::size_t layer) {
  return trace.layer_ids.empty() ? static_cast<std::int64_t>(layer) : trace.layer_ids[layer];
}

LoadMatrix sum_of(std::span<const LoadMatrix> loads) {
  MOESHIFT_CHECK(!loads.empty());
  LoadMatrix sum = loads.front();
  for (const LoadMatrix& load : loads.subspan(1)) {
    MOESHIFT_CHECK(load.rows() == sum.rows() && load.columns() == sum.columns());
    for (std::size_t i = 0; i < sum.items().size(); ++i) sum.items()[i] += load.items()[i];
  }
  return sum;
}

LoadMatrix mean_of(std::span<const LoadMatrix> loads) {
  LoadMatrix mean = sum_of(loads);
  for (double& tokens : mean.items()) tokens /= static_cast<double>(loads.size());
  return mean;
}

double layer_total(const LoadMatrix& load, LayerId layer) {
  const auto row = load.row(layer);
  return std::accumulate(row.begin(), row.end(), 0.0);
}

std::size_t loaded_layers(const LoadMatrix& load) {
  const auto ids = load.row_ids();
  return static_cast<std::size_t>(std::count_if(
      ids.begin(), ids.end(), [&](LayerId layer) { return layer_total(load, layer) > 0; }));
}

}  // namespace moeshift
