// SPDX-License-Identifier: Apache-2.0
#include "moeshift/model/routes.hpp"

#include "moeshift/core/error.hpp"

namespace moeshift {

LoadMatrix loads_of(const Routes& routes) {
  LoadMatrix load(routes.layers.size(), routes.num_experts);
  for (const LayerId layer : load.row_ids()) {
    const LayerRoutes& of_layer = routes.layers[layer.index()];
    const auto sums = load.row(layer);
    for (std::size_t i = 0; i < of_layer.rows(); ++i) {
      for (const std::uint32_t expert : of_layer.row(i)) {
        MOESHIFT_CHECK(expert < sums.size());
        sums[expert] += of_layer.tokens_of(i);
      }
    }
  }
  return load;
}

}  // namespace moeshift
