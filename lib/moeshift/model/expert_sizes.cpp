// SPDX-License-Identifier: Apache-2.0
#include "moeshift/model/expert_sizes.hpp"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "moeshift/core/error.hpp"

namespace moeshift {

ExpertSizes::ExpertSizes(IdMatrix<LayerId, ExpertId, Bytes> sizes) {
  const auto items = sizes.items();
  MOESHIFT_CHECK(!items.empty());
  each_ = *std::max_element(items.begin(), items.end());
  const bool alike =
      std::all_of(items.begin(), items.end(), [&](Bytes size) { return size == each_; });
  if (!alike) sizes_ = std::move(sizes);
}

Bytes ExpertSizes::largest(LayerId layer) const {
  if (uniform()) return each_;
  const auto row = sizes_.row(layer);
  return *std::max_element(row.begin(), row.end());
}

Bytes ExpertSizes::mean() const {
  if (uniform()) return each_;
  const auto items = sizes_.items();
  const Bytes sum = std::accumulate(items.begin(), items.end(), Bytes(0));
  return Bytes(sum.count() / static_cast<std::int64_t>(items.size()));
}

bool ExpertSizes::uniform(LayerId layer) const {
  if (uniform()) return true;
  const auto row = sizes_.row(layer);
  return std::all_of(row.begin(), row.end(), [&](Bytes size) { return size == row.front(); });
}

ExpertSizes ExpertSizes::layers(std::size_t first, std::size_t last) const {
  std::vector<LayerId> which;
  for (std::size_t layer = first; layer < last; ++layer) which.emplace_back(layer);
  return layers(which);
}

ExpertSizes ExpertSizes::layers(std::span<const LayerId> which) const {
  if (uniform() || which.empty()) return each_;
  IdMatrix<LayerId, ExpertId, Bytes> sizes(which.size(), sizes_.columns());
  for (const LayerId layer : sizes.row_ids()) {
    const auto row = sizes_.row(which[layer.index()]);
    std::copy(row.begin(), row.end(), sizes.row(layer).begin());
  }
  return ExpertSizes(std::move(sizes));
}

}  // namespace moeshift
