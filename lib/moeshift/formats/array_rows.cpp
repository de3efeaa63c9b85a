// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/array_rows.hpp"

#include <cmath>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/formats.hpp"

namespace moeshift {

std::size_t ArrayRows::num_rows() const {
  std::size_t rows = 1;
  for (std::size_t i = 0; i + 1 < shape_.size(); ++i) rows *= shape_[i];
  return rows;
}

std::string ArrayRows::row_place(std::size_t row) const {
  std::string indices;
  for (std::size_t i = shape_.size() - 1; i-- > 0;) {
    indices = fmt::format("/{}{}", row % shape_[i], indices);
    row /= shape_[i];
  }
  return place_ + indices;
}

void accept_loads(std::span<double> row, double scale, const std::string& place) {
  bool good = true;
  for (double& load : row) {
    if (scale != 0) load = std::round(load * scale);
    good &= load >= 0 && load <= kLargestLoad && std::floor(load) == load;
  }
  if (good) return;
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (row[i] >= 0 && row[i] <= kLargestLoad && std::floor(row[i]) == row[i]) continue;
    throw InputError(fmt::format("{}/{}", place, i), expected_load(row[i]));
  }
}

void accept_ids(std::span<const double> row, double lowest, double highest,
                const std::string& place) {
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (row[i] >= lowest && row[i] <= highest && std::floor(row[i]) == row[i]) continue;
    throw InputError(fmt::format("{}/{}", place, i),
                     fmt::format("expected a whole number in [{}, {}]", lowest, highest));
  }
}

}  // namespace moeshift
