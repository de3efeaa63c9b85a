// SPDX-License-Identifier: Apache-2.0
// Plan files of this program: a placement, what it was made for, and the load of empty slots.
#include <algorithm>
#include <ostream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/formats.hpp"
#include "moeshift/formats/placement_parts.hpp"

namespace moeshift {
namespace {

using Json = nlohmann::ordered_json;

constexpr auto kLargestLayerId = static_cast<std::int64_t>(kMostLayers);

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

Json json_of(const PlannedWorld& world) {
  Json json = Json::object();
  if (world.cluster) json["cluster"] = *world.cluster;
  if (world.model) json["model"] = *world.model;
  if (world.nodes) json["nodes"] = *world.nodes;
  return json;
}

bool has_empty_slots(const Placement& placement) {
  return std::ranges::any_of(placement.physical_to_logical().items(),
                             [](ExpertId expert) { return expert.is_none(); });
}

/// What empty slots are filled by.
void write_load(std::ostream& out, const LoadMatrix& load) {
  out << ",\n\"load\":[";
  for (const LayerId layer : load.row_ids()) {
    const auto row = load.row(layer);
    out << (layer.index() > 0 ? ",\n" : "")
        << Json(std::vector<double>(row.begin(), row.end())).dump();
  }
  out << ']';
}

// {"schema": "moeshift.plan/2" (or 1), "result": {"placement": {...}}}.

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
  const SlotRows rows = slot_rows(map);
  const PlacementHints stated{count_at(placement, "num_experts"), count_at(placement, "num_ranks")};
  PlacementFile file{placement_of(rows, stated, hints, map.where()),
                     layer_ids_at(placement, rows.size()),
                     count_at(placement, "num_hidden_layers")};
  if (file.layer_ids.empty() && file.num_hidden_layers.value_or(rows.size()) < rows.size()) {
    placement.at("num_hidden_layers")
        .fail(fmt::format("expected at least the {} layers of the map, or \"layer_ids\" that say "
                          "which of them are draft layers",
                          rows.size()));
  }
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
  write_slot_rows(out, file.placement);
  out << "]}";
  if (const Json world = json_of(file.world); !world.empty()) {
    out << ",\n\"planned_for\":" << world.dump();
  }
  if (file.load.rows() > 0 && has_empty_slots(file.placement)) write_load(out, file.load);
  out << "}}\n";
}

}  // namespace

PlacementFormat plan_placement_format() {
  return {"moeshift", "plan file of this program",
          [](const FormatHead& head) { return head.has("schema"); }, read_with<read_plan>,
          write_plan};
}

}  // namespace moeshift
