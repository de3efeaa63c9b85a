// SPDX-License-Identifier: Apache-2.0
// A placement from a file of torch.save(): SGLang's {"physical_to_logical_map"}, the map that its
// recorder saw last, or a bare tensor [layers, slots].
#include <utility>

#include "moeshift/formats/array/array_placement.hpp"
#include "moeshift/formats/placement_parts.hpp"
#include "moeshift/formats/torch/tensor_rows.hpp"
#include "moeshift/formats/torch/torch_archive.hpp"

namespace moeshift {
namespace {

PlacementFile read_torch(std::unique_ptr<ByteSource> bytes, const PlacementHints& hints) {
  TorchArchive file(*bytes);
  for (const char* key : {"physical_to_logical_map", "last_physical_to_logical_map"}) {
    const PickleNode* found = file.root().find(key);
    if (found == nullptr) continue;
    PlacementFile map =
        array_placement(*tensor_rows(std::move(file), found, std::string("/") + key), hints);
    map.rows = MapRows::kHiddenLayers;
    return map;
  }
  const PickleNode* root = &file.root();
  return array_placement(*tensor_rows(std::move(file), root, ""), hints);
}

}  // namespace

PlacementFormat torch_placement_format() {
  return {"torch", "torch.save() of a map [layers, slots], or SGLang's; only read",
          [](const FormatHead& head) { return looks_like_zip(head.bytes); }, read_torch, nullptr};
}

}  // namespace moeshift
