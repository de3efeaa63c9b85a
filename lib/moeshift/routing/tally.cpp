// SPDX-License-Identifier: Apache-2.0
#include "moeshift/routing/tally.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/model/layer_text.hpp"

namespace moeshift {

std::vector<std::size_t> sources_of(std::size_t ranks, std::span<const RankId> silent) {
  std::vector<std::size_t> sources;
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    if (!std::binary_search(silent.begin(), silent.end(), RankId(rank))) sources.push_back(rank);
  }
  if (sources.empty()) throw InputError("", "no rank is left for tokens to start on");
  return sources;
}

void check_holder(const Holders& holders, std::size_t expert, LayerId layer) {
  if (expert < holders.experts() && !holders.of(expert).empty()) return;
  throw LayerInputError(LayerText()
                        << "layer " << layer
                        << fmt::format(": no slot holds expert {}, which tokens chose", expert));
}

}  // namespace moeshift
