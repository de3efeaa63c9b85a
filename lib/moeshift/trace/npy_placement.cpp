// SPDX-License-Identifier: Apache-2.0
// A placement as a NumPy array [layers, slots] of expert ids.
#include <array>
#include <ostream>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/trace/formats.hpp"
#include "moeshift/trace/npy.hpp"
#include "moeshift/trace/placement_parts.hpp"

namespace moeshift {
namespace {

PlacementFile read_npy(ByteSource& bytes, const PlacementHints& hints) {
  const NpyHeader array = read_npy_header(bytes);
  if (array.shape.size() != 2) {
    throw InputError(bytes.name() + "#/header", "expected shape (layers, slots)");
  }
  check_shape(array.shape[0], array.shape[1], bytes.name() + "#/header");
  SlotRows rows(array.shape[0]);
  std::vector<double> items(array.shape[1]);
  for (std::size_t layer = 0; layer < rows.size(); ++layer) {
    read_npy_items(bytes, array, items, -1, fmt::format("{}#/{}", bytes.name(), layer));
    rows[layer].assign(items.begin(), items.end());
  }
  expect_npy_end(bytes);
  return {placement_of(rows, {}, hints, bytes.name() + "#"), {}};
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
  return {"npy", "NumPy array of expert ids, [layers, slots]",
          [](const FormatHead& head) { return looks_like_npy(head.bytes); }, read_npy, write_npy};
}

}  // namespace moeshift
