// SPDX-License-Identifier: Apache-2.0
// A placement as a NumPy array: [layers, slots] of expert ids; [layers, ranks, slots of a rank],
// the deployment table of LauzHack; or [ranks, layers, experts] of 0 and 1, the pattern of
// OmniPlacement.
#include <algorithm>
#include <array>
#include <ostream>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/formats.hpp"
#include "moeshift/formats/npy/npy.hpp"
#include "moeshift/formats/placement_parts.hpp"

namespace moeshift {
namespace {

/// [first][second] rows of the last dimension.
using Rows = std::vector<SlotRows>;

Rows read_rows(ByteSource& bytes, const NpyHeader& array, std::size_t first, std::size_t second) {
  const std::size_t length = array.shape.back();
  check_shape(first * second, length, bytes.name() + "#/header");
  Rows rows(first, SlotRows(second));
  std::vector<double> items(length);
  for (std::size_t i = 0; i < first; ++i) {
    for (std::size_t j = 0; j < second; ++j) {
      const std::string place = array.shape.size() == 2
                                    ? fmt::format("{}#/{}", bytes.name(), j)
                                    : fmt::format("{}#/{}/{}", bytes.name(), i, j);
      read_npy_items(bytes, array, items, -1, place);
      rows[i][j].assign(items.begin(), items.end());
    }
  }
  expect_npy_end(bytes);
  return rows;
}

/// Zeros and ones alone, and too many of them to be the ids of two experts.
bool is_pattern(const Rows& rows) {
  return rows.front().front().size() > 2 && std::ranges::all_of(rows, [](const SlotRows& part) {
           return std::ranges::all_of(part, [](const auto& row) {
             return std::ranges::all_of(row, [](std::int64_t x) { return x == 0 || x == 1; });
           });
         });
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
  const PlacementHints stated{pattern.front().front().size(), pattern.size()};
  return {placement_of(rows, stated, hints, where), {}};
}

/// [layers, ranks, slots of a rank] of expert ids.
PlacementFile from_table(const Rows& table, const PlacementHints& hints, const std::string& where) {
  SlotRows rows;
  for (const SlotRows& layer : table) {
    auto& row = rows.emplace_back();
    for (const auto& rank : layer) row.insert(row.end(), rank.begin(), rank.end());
  }
  return {placement_of(rows, {std::nullopt, table.front().size()}, hints, where), {}};
}

PlacementFile read_npy(ByteSource& bytes, const PlacementHints& hints) {
  const NpyHeader array = read_npy_header(bytes);
  const std::string where = bytes.name() + "#";
  if (array.shape.size() == 2) {
    const Rows rows = read_rows(bytes, array, 1, array.shape[0]);
    return {placement_of(rows.front(), {}, hints, where), {}};
  }
  if (array.shape.size() == 3 && array.shape[0] <= kMostLayers && array.shape[1] <= kMostLayers) {
    const Rows rows = read_rows(bytes, array, array.shape[0], array.shape[1]);
    return is_pattern(rows) ? from_pattern(rows, hints, where) : from_table(rows, hints, where);
  }
  throw InputError(where + "/header",
                   "expected shape (layers, slots), (layers, ranks, slots) or "
                   "(ranks, layers, experts)");
}

void write_npy(std::ostream& out, const PlacementFile& file) {
  const std::array<std::size_t, 2> shape{file.placement.layers(), file.placement.slots()};
  std::string bytes = npy_header(shape);
  for (const ExpertId expert : file.placement.physical_to_logical().items()) {
    append_npy_item(bytes, expert.is_none() ? -1 : std::int64_t{expert.value()});
  }
  out << bytes;
}

}  // namespace

PlacementFormat npy_placement_format() {
  return {"npy", "NumPy array of expert ids, [layers, slots]; read also per rank",
          [](const FormatHead& head) { return looks_like_npy(head.bytes); }, read_npy, write_npy};
}

}  // namespace moeshift
