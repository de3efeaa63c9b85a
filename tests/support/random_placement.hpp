// SPDX-License-Identifier: Apache-2.0
// Placements for property tests: every expert placed, the spare slots anywhere.
#pragma once

#include <algorithm>
#include <vector>

#include "moeshift/core/rng.hpp"
#include "moeshift/model/expert_sizes.hpp"
#include "moeshift/model/placement.hpp"

namespace moeshift::test {

struct PlacementShape {
  std::size_t layers = 1;
  std::size_t experts = 8;
  std::size_t ranks = 4;
  std::size_t slots_per_rank = 4;  ///< ranks * slots_per_rank >= experts
};

template <class T>
void shuffle(std::vector<T>& items, Rng& rng) {
  for (std::size_t i = items.size(); i > 1; --i) {
    std::swap(items[i - 1], items[rng.below(static_cast<std::uint32_t>(i))]);
  }
}

/// Any valid placement: duplicates on a rank and empty slots (a share of the spare ones) included.
inline Placement random_placement(const PlacementShape& shape, Rng& rng, double empty_share = 0) {
  const std::size_t slots = shape.ranks * shape.slots_per_rank;
  IdMatrix<LayerId, SlotId, ExpertId> table(shape.layers, slots);
  for (const LayerId layer : table.row_ids()) {
    std::vector<ExpertId> row;
    for (const ExpertId expert : all_ids<ExpertId>(shape.experts)) row.push_back(expert);
    while (row.size() < slots) {
      const bool empty = rng.uniform() < empty_share;
      row.push_back(empty ? ExpertId::none()
                          : ExpertId(rng.below(static_cast<std::uint32_t>(shape.experts))));
    }
    shuffle(row, rng);
    std::copy(row.begin(), row.end(), table.row(layer).begin());
  }
  return Placement(shape.experts, shape.ranks, std::move(table));
}

/// `old` with `swaps` pairs of slots exchanged per layer: a small rearrangement.
inline Placement with_swaps(const Placement& old, std::size_t swaps, Rng& rng) {
  auto table = old.physical_to_logical();
  const auto slots = static_cast<std::uint32_t>(old.slots());
  for (const LayerId layer : table.row_ids()) {
    for (std::size_t i = 0; i < swaps; ++i) {
      std::swap(table(layer, SlotId(rng.below(slots))), table(layer, SlotId(rng.below(slots))));
    }
  }
  return Placement(old.experts(), old.ranks(), std::move(table));
}

/// Sizes of experts: one, one per layer, or any, all multiples of `unit` and at most 8 of them.
inline ExpertSizes random_sizes(const PlacementShape& shape, Bytes unit, Rng& rng) {
  const std::uint32_t kind = rng.below(3);
  const auto any = [&] { return unit * static_cast<std::int64_t>(1 + rng.below(8)); };
  if (kind == 0) return any();
  IdMatrix<LayerId, ExpertId, Bytes> sizes(shape.layers, shape.experts);
  for (const LayerId layer : sizes.row_ids()) {
    const Bytes of_layer = any();
    for (Bytes& size : sizes.row(layer)) size = kind == 1 ? of_layer : any();
  }
  return ExpertSizes(std::move(sizes));
}

}  // namespace moeshift::test
