// SPDX-License-Identifier: Apache-2.0
// A placement from a file of torch.save(): SGLang's {"physical_to_logical_map"}, the map that its
// recorder saw last, or a bare tensor [layers, slots].
#include <array>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/formats.hpp"
#include "moeshift/formats/placement_parts.hpp"
#include "moeshift/formats/torch/torch_archive.hpp"

namespace moeshift {
namespace {

PlacementFile read_torch(ByteSource& bytes, const PlacementHints& hints) {
  TorchArchive file(bytes);
  const PickleNode* node = &file.root();
  std::string place;
  for (const char* key : {"physical_to_logical_map", "last_physical_to_logical_map"}) {
    const PickleNode* found = file.root().find(key);
    if (found == nullptr) continue;
    node = found;
    place = std::string("/") + key;
    break;
  }
  const PickleTensor& map = file.tensor(node, place);
  if (map.shape.size() != 2) {
    throw InputError(file.name() + "#" + place, "expected shape (layers, slots)");
  }
  check_shape(map.shape[0], map.shape[1], file.name() + "#" + place);
  SlotRows rows(map.shape[0]);
  std::vector<double> items(map.shape[1]);
  for (std::size_t layer = 0; layer < rows.size(); ++layer) {
    file.read_row(map, std::array{layer}, -1, items, fmt::format("{}/{}", place, layer));
    rows[layer].assign(items.begin(), items.end());
  }
  return {placement_of(rows, {}, hints, file.name() + "#" + place), {}};
}

}  // namespace

PlacementFormat torch_placement_format() {
  return {"torch", "torch.save() of a map [layers, slots], or SGLang's; only read",
          [](const FormatHead& head) { return looks_like_zip(head.bytes); }, read_torch, nullptr};
}

}  // namespace moeshift
