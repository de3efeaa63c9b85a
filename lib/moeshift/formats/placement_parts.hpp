// SPDX-License-Identifier: Apache-2.0
// What the placement formats share. Internal to formats/.
#pragma once

#include <iosfwd>
#include <memory>
#include <string>
#include <vector>

#include "moeshift/core/json_reader.hpp"
#include "moeshift/formats/placement_format.hpp"

namespace moeshift {

[[nodiscard]] PlacementFormat plan_placement_format();
[[nodiscard]] PlacementFormat vllm_placement_format();
[[nodiscard]] PlacementFormat sglang_placement_format();
[[nodiscard]] PlacementFormat npy_placement_format();
[[nodiscard]] PlacementFormat trtllm_placement_format();
[[nodiscard]] PlacementFormat ascend_placement_format();
[[nodiscard]] PlacementFormat torch_placement_format();
[[nodiscard]] PlacementFormat list_placement_format();
[[nodiscard]] PlacementFormat lightllm_placement_format();

/// A placement reader of a stream, as a row of the registry.
template <PlacementFile (*kRead)(ByteSource& bytes, const PlacementHints& hints)>
PlacementFile read_with(std::unique_ptr<ByteSource> bytes, const PlacementHints& hints) {
  return kRead(*bytes, hints);
}

/// Rows of expert ids as a file gave them, -1 = nothing.
using SlotRows = std::vector<std::vector<std::int64_t>>;

/// One row of whole numbers >= -1.
[[nodiscard]] std::vector<std::int64_t> slot_row(const JsonReader& row);
/// [[slots] x layers]
[[nodiscard]] SlotRows slot_rows(const JsonReader& map);
/// Joins rows, what the file states and the hints.
/// @param where of the map, "file#/pointer"; row and slot are appended in errors.
/// @throws InputError
[[nodiscard]] Placement placement_of(const SlotRows& rows, const PlacementHints& stated,
                                     const PlacementHints& hints, const std::string& where);
/// Whether a row says nothing, as those of dense layers: all slots empty, or the experts in order,
/// again and again (what engines start with), or once and then replicas of the first (what SGLang's
/// balancer makes of a layer without load).
[[nodiscard]] bool in_expert_order(const Placement& placement, LayerId layer);
/// "[4,7,-1]"
[[nodiscard]] std::string row_text(std::span<const ExpertId> row);
/// All layers, a line each, without the brackets around them.
void write_slot_rows(std::ostream& out, const Placement& placement);
/// The model's number of a layer.
[[nodiscard]] std::int64_t layer_id_of(const PlacementFile& file, LayerId layer);
/// `ids`, or nothing where they only count 0, 1, 2 ...: formats that number MoE layers in their
/// order say nothing of the model's own numbers.
[[nodiscard]] std::vector<std::int64_t> unless_plain(std::vector<std::int64_t> ids);
/// Splits {"3": row, "4": row} into rows in ascending layer order and their numbers.
[[nodiscard]] std::vector<std::int64_t> sort_layers(std::vector<std::int64_t> ids, SlotRows& rows,
                                                    const std::string& where);

}  // namespace moeshift
