// SPDX-License-Identifier: Apache-2.0
// A placement as a NumPy array: [layers, slots] of expert ids; [layers, ranks, slots of a rank],
// the deployment table of LauzHack; or [ranks, layers, experts] of 0 and 1, the pattern of
// OmniPlacement.
#include <algorithm>
#include <array>
#include <ostream>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/array/array_placement.hpp"
#include "moeshift/formats/npy/npy.hpp"
#include "moeshift/formats/placement_parts.hpp"

namespace moeshift {
namespace {

PlacementFile read_npy(std::unique_ptr<ByteSource> bytes, const PlacementHints& hints) {
  return array_placement(*npy_rows(std::move(bytes)), hints);
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
