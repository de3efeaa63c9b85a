// SPDX-License-Identifier: Apache-2.0
// Placements as JSON: vLLM's initial mapping, SGLang's initial expert location.
#include <algorithm>
#include <charconv>
#include <optional>
#include <ostream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/formats.hpp"
#include "moeshift/formats/json/json_document.hpp"
#include "moeshift/formats/placement_parts.hpp"

namespace moeshift {
namespace {

using Json = nlohmann::ordered_json;

constexpr auto kLargestLayerId = static_cast<std::int64_t>(kMostLayers);

// vLLM: {"record_type": "eplb_initial_mapping", "num_slots": S, "num_redundant_experts": R,
// "initial_global_assignments": {"layer": [S]}}, one line of a JSON Lines file.

std::int64_t layer_number(const std::string& key, const JsonReader& row) {
  std::int64_t layer = -1;
  const auto [stop, error] = std::from_chars(key.data(), key.data() + key.size(), layer);
  const bool good = error == std::errc() && stop == key.data() + key.size() && layer >= 0 &&
                    layer <= kLargestLayerId;
  if (good && std::to_string(layer) == key) return layer;
  row.fail("expected a layer number as key");
}

PlacementFile read_mapping(const JsonReader& record, const PlacementHints& hints) {
  if (record.at("version").whole(1, 1000) != 1) record.at("version").fail("expected version 1");
  const JsonReader assignments = record.at("initial_global_assignments");
  SlotRows rows;
  std::vector<std::int64_t> ids;
  for (const std::string& key : assignments.keys()) {
    const JsonReader row = assignments.at(key);
    ids.push_back(layer_number(key, row));
    rows.push_back(slot_row(row));
  }
  const std::vector<std::int64_t> layer_ids =
      unless_plain(sort_layers(ids, rows, assignments.where()));
  const auto slots = static_cast<std::size_t>(record.at("num_slots").whole(1, 1'000'000));
  if (!rows.empty() && rows.front().size() != slots) {
    record.at("num_slots").fail(fmt::format("expected {}, as in the map", rows.front().size()));
  }
  const JsonReader redundant = record.at("num_redundant_experts");
  const std::int64_t most = static_cast<std::int64_t>(slots) - 1;
  const PlacementHints stated{slots - static_cast<std::size_t>(redundant.whole(0, most)),
                              std::nullopt};
  return {placement_of(rows, stated, hints, assignments.where()), layer_ids};
}

/// A record of a mapping, where it stands and whose it is.
struct MappingRecord {
  Json record;
  std::string where;
  std::string of;
};

/// The next one; nothing at the end of the file. Other records are passed over, those after the
/// first mapping unread.
std::optional<MappingRecord> next_mapping(ByteSource& bytes, bool first) {
  constexpr std::string_view kType = "eplb_initial_mapping";
  std::string_view text;
  while (bytes.filled_line(text)) {
    if (!first && text.find(kType) == std::string_view::npos) continue;
    Json record = parse_json_line(text, bytes.where());
    const JsonReader reader(record, bytes.where());
    if (reader.at("record_type").string() != kType) continue;
    const auto model = reader.find("model");
    std::string of = model && model->is_string() ? model->string() : std::string("no model");
    return MappingRecord{std::move(record), bytes.where(), std::move(of)};
  }
  return {};
}

PlacementFile read_vllm(ByteSource& bytes, const PlacementHints& hints) {
  const std::optional<MappingRecord> mapping = next_mapping(bytes, true);
  if (!mapping) {
    throw InputError(bytes.where(), "expected a record of type eplb_initial_mapping");
  }
  while (const std::optional<MappingRecord> other = next_mapping(bytes, false)) {
    if (other->record == mapping->record) continue;
    throw InputError(other->where,
                     fmt::format("a second mapping, of {}; {} holds that of {}: keep the one that "
                                 "is meant in a file of its own",
                                 other->of, mapping->where, mapping->of));
  }
  return read_mapping(JsonReader(mapping->record, mapping->where), hints);
}

void write_vllm(std::ostream& out, const PlacementFile& file) {
  const Placement& placement = file.placement;
  if (placement.slots() < placement.experts()) {
    throw InputError("", fmt::format("{} slots cannot hold {} experts, as vLLM demands",
                                     placement.slots(), placement.experts()));
  }
  out << fmt::format(
      "{{\"record_type\":\"eplb_initial_mapping\",\"version\":1,\"num_redundant_experts\":{},"
      "\"num_slots\":{},\"initial_global_assignments\":{{",
      placement.slots() - placement.experts(), placement.slots());
  for (const LayerId layer : placement.physical_to_logical().row_ids()) {
    if (layer.index() > 0) out << ',';
    out << '"' << layer.value() << "\":" << row_text(placement.layer(layer));
  }
  out << "}}\n";
}

// SGLang: {"physical_to_logical_map": [L][S]}.

/// The slots of every expert as the other direction of the map says them, [layers][experts][any]:
/// they are those that hold it.
void check_other_direction(const JsonReader& other, const Placement& placement) {
  const std::vector<JsonReader> layers = other.items();
  if (layers.size() != placement.layers()) {
    other.fail(fmt::format("expected {} layers, as in the map of slots", placement.layers()));
  }
  for (const LayerId layer : all_ids<LayerId>(placement.layers())) {
    const JsonReader& row = layers[layer.index()];
    const auto slots = placement.layer(layer);
    std::vector<bool> said(slots.size());
    std::size_t expert = 0;
    for (const JsonReader& list : row.items()) {
      for (const std::int64_t slot : slot_row(list)) {
        if (slot < 0) continue;
        const auto at = static_cast<std::size_t>(slot);
        if (at >= slots.size() || slots[at] != ExpertId(expert)) {
          list.fail(
              fmt::format("slot {} does not hold expert {} in the map of slots: the two "
                          "directions of the map disagree",
                          slot, expert));
        }
        said[at] = true;
      }
      ++expert;
    }
    for (std::size_t slot = 0; slot < slots.size(); ++slot) {
      if (said[slot] || slots[slot].is_none()) continue;
      row.fail(
          fmt::format("no expert is in slot {}, which holds {} in the map of slots: the two "
                      "directions of the map disagree",
                      slot, slots[slot].value()));
    }
  }
}

PlacementFile read_sglang(ByteSource& bytes, const PlacementHints& hints) {
  const std::string name = bytes.name();
  const Json document = parse_json(bytes.rest(), name);
  const JsonReader top(document, name);
  const JsonReader map = top.at("physical_to_logical_map");
  PlacementFile file{placement_of(slot_rows(map), {}, hints, map.where()), {}};
  for (const char* key : {"logical_to_all_physical_map", "logical_to_physical_map"}) {
    if (const auto other = top.find(key)) check_other_direction(*other, file.placement);
  }
  file.rows = MapRows::kHiddenLayers;
  return file;
}

void write_sglang(std::ostream& out, const PlacementFile& file) {
  out << "{\"physical_to_logical_map\":[\n";
  write_slot_rows(out, file.placement);
  out << "]}\n";
}

// Bare lists: [[S] x layers], or [S] for all layers (vllm-project/vllm#49572, rtp-llm's
// phy2log_path).

PlacementFile read_list(ByteSource& bytes, const PlacementHints& hints) {
  const std::string name = bytes.name();
  const Json document = parse_json(bytes.rest(), name);
  const JsonReader list(document, name);
  if (list.size() == 0) list.fail("expected at least one slot");
  if (list.at(std::size_t{0}).is_array()) {
    PlacementFile file{placement_of(slot_rows(list), {}, hints, list.where()), {}};
    file.rows = MapRows::kUnsaid;
    return file;
  }
  if (!hints.num_layers) {
    list.fail(
        "is one list of slots for all layers, and nothing says how many there are; expected "
        "`model`, or a file with one list per layer");
  }
  const SlotRows rows(*hints.num_layers, slot_row(list));
  return {placement_of(rows, {}, hints, list.where()), {}};
}

void write_list(std::ostream& out, const PlacementFile& file) {
  out << "[\n";
  write_slot_rows(out, file.placement);
  out << "]\n";
}

}  // namespace

PlacementFormat list_placement_format() {
  return {"list", "JSON list of experts per slot, [[slots] x layers] (vLLM, rtp-llm)",
          [](const FormatHead& head) {
            const std::size_t first = head.bytes.find_first_not_of(" \t\r\n");
            return first != std::string_view::npos && head.bytes[first] == '[';
          },
          read_with<read_list>, write_list};
}

PlacementFormat vllm_placement_format() {
  return {"vllm", "vLLM eplb_initial_mapping JSON Lines",
          [](const FormatHead& head) { return head.has("record_type"); }, read_with<read_vllm>,
          write_vllm};
}

PlacementFormat sglang_placement_format() {
  return {"sglang", "SGLang JSON {\"physical_to_logical_map\": [layers][slots]}",
          [](const FormatHead& head) { return head.has("physical_to_logical_map"); },
          read_with<read_sglang>, write_sglang};
}

}  // namespace moeshift
