// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/engines/layer_rows.hpp"

#include <algorithm>
#include <utility>

#include "moeshift/formats/placement_parts.hpp"

namespace moeshift {

std::vector<LayerRow> rows_of(const PlacementFile& file) {
  std::vector<LayerRow> rows;
  for (const LayerId layer : all_ids<LayerId>(file.placement.layers())) {
    const auto slots = file.placement.layer(layer);
    LayerRow row{layer_id_of(file, layer), {slots.begin(), slots.end()}};
    if (file.load.rows() > 0) {
      const auto load = file.load.row(layer);
      row.load.assign(load.begin(), load.end());
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

PlacementFile of_rows(PlacementFile file, const std::vector<LayerRow>& rows) {
  const std::size_t experts = file.placement.experts();
  const bool loads =
      std::ranges::any_of(rows, [](const LayerRow& row) { return !row.load.empty(); });
  IdMatrix<LayerId, SlotId, ExpertId> slots(rows.size(), file.placement.slots());
  LoadMatrix load(loads ? rows.size() : 0, loads ? experts : 0);
  std::vector<std::int64_t> ids;
  for (const LayerId layer : slots.row_ids()) {
    const LayerRow& row = rows[layer.index()];
    std::ranges::copy(row.slots, slots.row(layer).begin());
    if (!row.load.empty()) std::ranges::copy(row.load, load.row(layer).begin());
    ids.push_back(row.id);
  }
  file.placement = Placement(experts, file.placement.ranks(), std::move(slots));
  file.load = std::move(load);
  file.layer_ids = std::move(ids);
  return file;
}

std::vector<ExpertId> trivial_slots(const Placement& placement) {
  std::vector<ExpertId> slots;
  for (std::size_t slot = 0; slot < placement.slots(); ++slot) {
    slots.emplace_back(slot % placement.experts());
  }
  return slots;
}

}  // namespace moeshift
