// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/array/array_placement.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/formats.hpp"
#include "moeshift/formats/placement_parts.hpp"

namespace moeshift {
namespace {

/// [first][second] rows of the last dimension.
using Rows = std::vector<SlotRows>;

Rows read_rows(ArrayRows& array, std::size_t first, std::size_t second) {
  const std::size_t length = array.shape().back();
  if (first > kMostLayers || second > kMostLayers) {
    throw InputError(array.place() + "/header", "expected fewer layers or ranks");
  }
  check_shape(first * second, length, array.place() + "/header");
  Rows rows(first, SlotRows(second));
  std::vector<double> items(length);
  for (std::size_t i = 0; i < first; ++i) {
    for (std::size_t j = 0; j < second; ++j) {
      array.next(items);
      accept_ids(items, -1, static_cast<double>(kMostExperts) - 1, array.row_place(i * second + j));
      rows[i][j].assign(items.begin(), items.end());
    }
  }
  array.finish();
  return rows;
}

bool all_rows(const Rows& rows, bool (*test)(const std::vector<std::int64_t>& row)) {
  return std::ranges::all_of(rows,
                             [&](const SlotRows& part) { return std::ranges::all_of(part, test); });
}

/// Zeros and ones alone, and too many of them to be the ids of two experts.
bool is_pattern(const Rows& rows) {
  return rows.front().front().size() > 2 &&
         all_rows(rows, [](const std::vector<std::int64_t>& row) {
           return std::ranges::all_of(row, [](std::int64_t x) { return x == 0 || x == 1; });
         });
}

/// Whether what is not -1 is 0, 1, ..., n-1, each once: places on a rank, not experts.
bool numbers_slots(const std::vector<std::int64_t>& row) {
  std::vector<std::int64_t> held;
  std::ranges::copy_if(row, std::back_inserter(held), [](std::int64_t x) { return x >= 0; });
  std::ranges::sort(held);
  for (std::size_t i = 0; i < held.size(); ++i) {
    if (held[i] != static_cast<std::int64_t>(i)) return false;
  }
  return true;
}

/// With one rank every table of all experts numbers slots, too.
bool is_expert_map(const Rows& rows) {
  return rows.front().size() > 1 && all_rows(rows, numbers_slots);
}

/// A rank's experts by slot, then empty slots.
PlacementFile from_expert_map(const Rows& map, const PlacementHints& hints,
                              const std::string& where) {
  std::size_t per_rank = 0;
  for (const SlotRows& layer : map) {
    for (const auto& row : layer) {
      const auto held = std::ranges::count_if(row, [](std::int64_t x) { return x >= 0; });
      per_rank = std::max(per_rank, static_cast<std::size_t>(held));
    }
  }
  SlotRows rows;
  for (const SlotRows& layer : map) {
    auto& row = rows.emplace_back(layer.size() * per_rank, -1);
    for (std::size_t rank = 0; rank < layer.size(); ++rank) {
      for (std::size_t expert = 0; expert < layer[rank].size(); ++expert) {
        const std::int64_t slot = layer[rank][expert];
        if (slot < 0) continue;
        row[rank * per_rank + static_cast<std::size_t>(slot)] = static_cast<std::int64_t>(expert);
      }
    }
  }
  PlacementHints stated;
  stated.num_experts = map.front().front().size();
  stated.num_ranks = map.front().size();
  return {placement_of(rows, stated, hints, where), {}};
}

/// [ranks, layers, experts] of 0 and 1: a rank's experts in ascending order, then empty slots.
PlacementFile from_pattern(const Rows& pattern, const PlacementHints& hints,
                           const std::string& where) {
  std::int64_t per_rank = 0;
  for (const SlotRows& rank : pattern) {
    for (const auto& row : rank) per_rank = std::max(per_rank, std::ranges::count(row, 1));
  }
  const std::size_t layers = pattern.front().size();
  SlotRows rows(layers);
  for (const SlotRows& rank : pattern) {
    for (std::size_t layer = 0; layer < layers; ++layer) {
      std::vector<std::int64_t> held;
      for (std::size_t expert = 0; expert < rank[layer].size(); ++expert) {
        if (rank[layer][expert] == 1) held.push_back(static_cast<std::int64_t>(expert));
      }
      held.resize(static_cast<std::size_t>(per_rank), -1);
      rows[layer].insert(rows[layer].end(), held.begin(), held.end());
    }
  }
  PlacementHints stated;
  stated.num_experts = pattern.front().front().size();
  stated.num_ranks = pattern.size();
  return {placement_of(rows, stated, hints, where), {}};
}

/// [layers, ranks, slots of a rank] of expert ids.
PlacementFile from_table(const Rows& table, const PlacementHints& hints, const std::string& where) {
  SlotRows rows;
  for (const SlotRows& layer : table) {
    auto& row = rows.emplace_back();
    for (const auto& rank : layer) row.insert(row.end(), rank.begin(), rank.end());
  }
  PlacementHints stated;
  stated.num_ranks = table.front().size();
  return {placement_of(rows, stated, hints, where), {}};
}

PlacementFile read_array(ArrayRows& array, const PlacementHints& hints) {
  const auto& shape = array.shape();
  const std::string& where = array.place();
  if (shape.size() == 2) {
    const Rows rows = read_rows(array, 1, shape[0]);
    return {placement_of(rows.front(), {}, hints, where), {}};
  }
  if (shape.size() != 3) {
    throw InputError(where + "/header",
                     "expected shape (layers, slots), (layers, ranks, slots), (layers, ranks, "
                     "experts) or (ranks, layers, experts)");
  }
  const Rows rows = read_rows(array, shape[0], shape[1]);
  if (is_pattern(rows)) return from_pattern(rows, hints, where);
  if (is_expert_map(rows)) return from_expert_map(rows, hints, where);
  return from_table(rows, hints, where);
}

}  // namespace

PlacementFile array_placement(ArrayRows& array, const PlacementHints& hints) {
  PlacementFile file = read_array(array, hints);
  file.rows = MapRows::kUnsaid;
  return file;
}

}  // namespace moeshift
