// SPDX-License-Identifier: Apache-2.0
// Which experts each token chose: what loads are the sums of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "moeshift/model/load.hpp"

namespace moeshift {

/// The tokens of one layer, [rows, top_k] experts; the experts of a row are distinct.
struct LayerRoutes {
  std::size_t top_k = 0;
  std::vector<std::uint32_t> experts;
  /// The rank whose token each row is; empty = not recorded.
  std::vector<std::uint32_t> source_rank;
  /// How many tokens each row stands for; empty = one each.
  std::vector<double> count;

  [[nodiscard]] std::size_t rows() const { return top_k == 0 ? 0 : experts.size() / top_k; }
  [[nodiscard]] std::span<const std::uint32_t> row(std::size_t i) const {
    return std::span(experts).subspan(i * top_k, top_k);
  }
  [[nodiscard]] double tokens_of(std::size_t i) const { return count.empty() ? 1 : count[i]; }
};

/// A stretch of tokens. Row i of all layers is the same token unless the recording says otherwise:
/// layers may have rows of their own number.
struct Routes {
  std::int64_t step = 0;
  std::size_t num_experts = 0;
  std::vector<LayerRoutes> layers;
};

/// [layers, experts] tokens: each row adds its tokens to each of its experts. O(rows * top_k).
[[nodiscard]] LoadMatrix loads_of(const Routes& routes);

}  // namespace moeshift
