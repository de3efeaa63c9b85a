// SPDX-License-Identifier: Apache-2.0
// Ascend's expert map (vllm-ascend expert_map_path, msit, MindIE): layers of devices of experts.
#include <algorithm>
#include <ostream>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/formats.hpp"
#include "moeshift/formats/placement_parts.hpp"

namespace moeshift {
namespace {

using Json = nlohmann::ordered_json;

/// What each device of one layer holds, in the order of their ids.
SlotRows devices_of(const JsonReader& layer, std::size_t num_devices) {
  const JsonReader list = layer.at("device_list");
  if (list.size() != num_devices) {
    list.fail(fmt::format("expected {} devices, got {}", num_devices, list.size()));
  }
  SlotRows devices(num_devices);
  for (const JsonReader& device : list.items()) {
    const auto id = static_cast<std::size_t>(
        device.at("device_id").whole(0, static_cast<std::int64_t>(num_devices) - 1));
    if (!devices[id].empty()) device.at("device_id").fail("this device appears twice");
    devices[id] = slot_row(device.at("device_expert"));
    if (devices[id].empty()) device.at("device_expert").fail("expected at least one expert");
  }
  return devices;
}

/// Rows of slots, all as wide as the fullest device needs: OmniPlacement gives layers and devices
/// different numbers of experts; what is missing is an empty slot, as in its pattern (npy).
SlotRows slots_of(const std::vector<SlotRows>& layers, const std::string& where) {
  std::size_t width = 0;
  for (const SlotRows& devices : layers) {
    for (const auto& device : devices) width = std::max(width, device.size());
  }
  check_shape(layers.size(), width * layers.front().size(), where);
  SlotRows rows;
  for (const SlotRows& devices : layers) {
    std::vector<std::int64_t> row;
    for (const auto& device : devices) {
      row.insert(row.end(), device.begin(), device.end());
      row.resize(row.size() + width - device.size(), -1);
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

std::size_t device_count(const JsonReader& layer) {
  return static_cast<std::size_t>(layer.at("device_count").whole(1, 1'000'000));
}

PlacementFile read_ascend(ByteSource& bytes, const PlacementHints& hints) {
  const std::string name = bytes.name();
  const Json document = parse_json(bytes.rest(), name);
  const JsonReader top(document, name);
  const JsonReader list = top.at("layer_list");
  if (list.size() == 0) list.fail("expected at least one layer");
  if (top.at("moe_layer_count").whole() != static_cast<std::int64_t>(list.size())) {
    top.at("moe_layer_count").fail(fmt::format("expected {}, as in layer_list", list.size()));
  }
  const std::size_t num_devices = device_count(list.at(std::size_t{0}));
  std::vector<SlotRows> layers;
  std::vector<std::int64_t> ids;
  for (const JsonReader& layer : list.items()) {
    if (device_count(layer) != num_devices || num_devices > layer.at("device_list").size()) {
      layer.at("device_count").fail(fmt::format("expected {} devices", num_devices));
    }
    ids.push_back(layer.at("layer_id").whole(0, static_cast<std::int64_t>(kMostLayers)));
    layers.push_back(devices_of(layer, num_devices));
  }
  SlotRows rows = slots_of(layers, list.where());
  const std::vector<std::int64_t> layer_ids = unless_plain(sort_layers(ids, rows, list.where()));
  return {placement_of(rows, {std::nullopt, num_devices}, hints, list.where()), layer_ids};
}

void write_ascend(std::ostream& out, const PlacementFile& file) {
  const Placement& placement = file.placement;
  out << "{\"moe_layer_count\":" << placement.layers() << ",\"layer_list\":[";
  for (const LayerId layer : all_ids<LayerId>(placement.layers())) {
    out << (layer.index() > 0 ? ",\n" : "\n") << "{\"layer_id\":" << layer.value()
        << ",\"device_count\":" << placement.ranks() << ",\"device_list\":[";
    for (const RankId rank : all_ids<RankId>(placement.ranks())) {
      out << (rank.index() > 0 ? "," : "") << "{\"device_id\":" << rank.value()
          << ",\"device_expert\":" << row_text(placement.rank_slots(layer, rank)) << '}';
    }
    out << "]}";
  }
  out << "]}\n";
}

}  // namespace

PlacementFormat ascend_placement_format() {
  return {"ascend", "Ascend expert_map.json (vllm-ascend, msit, MindIE)",
          [](const FormatHead& head) { return head.has("layer_list"); }, read_with<read_ascend>,
          write_ascend};
}

}  // namespace moeshift
