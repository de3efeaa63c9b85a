// SPDX-License-Identifier: Apache-2.0
// Placements as JSON: our plan files, vLLM's initial mapping, SGLang's initial expert location.
#include <algorithm>
#include <charconv>
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

SlotRows rows_of(const JsonReader& map) {
  SlotRows rows;
  for (const JsonReader& row : map.items()) rows.push_back(slot_row(row));
  return rows;
}

std::optional<std::size_t> count_at(const JsonReader& object, std::string_view key) {
  const auto value = object.find(key);
  if (!value) return std::nullopt;
  return static_cast<std::size_t>(value->whole(1, 1'000'000));
}

/// Layer numbers beside a map of `layers` rows.
std::vector<std::int64_t> layer_ids_at(const JsonReader& object, std::size_t layers) {
  const auto value = object.find("layer_ids");
  if (!value) return {};
  if (value->size() != layers) value->fail(fmt::format("expected {} layer numbers", layers));
  std::vector<std::int64_t> ids;
  for (const JsonReader& id : value->items()) {
    ids.push_back(id.whole(0, kLargestLayerId));
    if (std::ranges::find(ids.begin(), ids.end() - 1, ids.back()) != ids.end() - 1) {
      id.fail(fmt::format("layer {} is there twice", ids.back()));
    }
  }
  return ids;
}

std::optional<std::string> text_at(const JsonReader& object, std::string_view key) {
  const auto value = object.find(key);
  return value ? std::optional(value->string()) : std::nullopt;
}

PlannedWorld world_of(const JsonReader& world) {
  return {text_at(world, "cluster"), text_at(world, "model"), count_at(world, "nodes")};
}

LoadMatrix load_of(const JsonReader& json, const Placement& placement) {
  LoadMatrix load(placement.layers(), placement.experts());
  const std::vector<JsonReader> rows = json.items();
  if (rows.size() != load.rows()) json.fail(fmt::format("expected {} layers", load.rows()));
  for (const LayerId layer : load.row_ids()) {
    const std::vector<JsonReader> items = rows[layer.index()].items();
    if (items.size() != load.columns()) {
      rows[layer.index()].fail(fmt::format("expected {} experts", load.columns()));
    }
    std::transform(items.begin(), items.end(), load.row(layer).begin(),
                   [](const JsonReader& item) { return item.non_negative_number(); });
  }
  return load;
}

void write_rows(std::ostream& out, const Placement& placement) {
  for (const LayerId layer : placement.physical_to_logical().row_ids()) {
    if (layer.index() > 0) out << ",\n";
    out << row_text(placement.layer(layer));
  }
}

// Plan files: {"schema": "moeshift.plan/2" (or 1), "result": {"placement": {...}}}.

PlacementFile read_plan(ByteSource& bytes, const PlacementHints& hints) {
  const std::string name = bytes.name();
  const Json document = parse_json(bytes.rest(), name);
  const JsonReader top(document, name);
  const std::string schema = top.at("schema").string();
  if (schema != "moeshift.plan/1" && schema != "moeshift.plan/2") {
    top.at("schema").fail("expected \"moeshift.plan/2\"");
  }
  const JsonReader placement = top.at("result").at("placement");
  const JsonReader map = placement.at("physical_to_logical");
  const SlotRows rows = rows_of(map);
  const PlacementHints stated{count_at(placement, "num_experts"), count_at(placement, "num_ranks")};
  PlacementFile file{placement_of(rows, stated, hints, map.where()),
                     layer_ids_at(placement, rows.size()),
                     count_at(placement, "num_hidden_layers")};
  if (const auto world = top.at("result").find("planned_for")) file.world = world_of(*world);
  if (const auto load = top.at("result").find("load")) file.load = load_of(*load, file.placement);
  return file;
}

void write_plan(std::ostream& out, const PlacementFile& file) {
  out << "{\"schema\":\"moeshift.plan/1\",\"result\":{\"placement\":{\"num_experts\":"
      << file.placement.experts() << ",\"num_ranks\":" << file.placement.ranks();
  if (!file.layer_ids.empty()) out << ",\"layer_ids\":" << Json(file.layer_ids).dump();
  if (file.num_hidden_layers) out << ",\"num_hidden_layers\":" << *file.num_hidden_layers;
  out << ",\"physical_to_logical\":[\n";
  write_rows(out, file.placement);
  out << "]}}}\n";
}

// vLLM: {"record_type": "eplb_initial_mapping", "num_slots": S, "num_redundant_experts": R,
// "initial_global_assignments": {"layer": [S]}}, one line of a JSON Lines file.

std::int64_t layer_number(const std::string& key, const JsonReader& row) {
  std::int64_t layer = -1;
  const auto [stop, error] = std::from_chars(key.data(), key.data() + key.size(), layer);
  if (error != std::errc() || stop != key.data() + key.size() || layer < 0 ||
      layer > kLargestLayerId) {
    row.fail("expected a layer number as key");
  }
  return layer;
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

PlacementFile read_vllm(ByteSource& bytes, const PlacementHints& hints) {
  std::string_view text;
  while (bytes.filled_line(text)) {
    const Json record = parse_json_line(text, bytes.where());
    const JsonReader reader(record, bytes.where());
    if (reader.at("record_type").string() == "eplb_initial_mapping") {
      return read_mapping(reader, hints);
    }
  }
  throw InputError(bytes.where(), "expected a record of type eplb_initial_mapping");
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

PlacementFile read_sglang(ByteSource& bytes, const PlacementHints& hints) {
  const std::string name = bytes.name();
  const Json document = parse_json(bytes.rest(), name);
  const JsonReader map = JsonReader(document, name).at("physical_to_logical_map");
  PlacementFile file{placement_of(rows_of(map), {}, hints, map.where()), {}};
  file.rows = MapRows::kHiddenLayers;
  return file;
}

void write_sglang(std::ostream& out, const PlacementFile& file) {
  out << "{\"physical_to_logical_map\":[\n";
  write_rows(out, file.placement);
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
    PlacementFile file{placement_of(rows_of(list), {}, hints, list.where()), {}};
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
  write_rows(out, file.placement);
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

PlacementFormat plan_placement_format() {
  return {"moeshift", "plan file of this program",
          [](const FormatHead& head) { return head.has("schema"); }, read_with<read_plan>,
          write_plan};
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
