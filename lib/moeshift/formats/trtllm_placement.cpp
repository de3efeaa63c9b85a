// SPDX-License-Identifier: Apache-2.0
// TensorRT-LLM's moe_load_balancer.yaml: the model's own layer numbers to logical experts of slots.
#include <charconv>
#include <ostream>

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/placement_parts.hpp"

namespace moeshift {
namespace {

constexpr std::int64_t kMost = 1'000'000;

std::string where_of(const YAML::Node& node, const std::string& name) {
  return fmt::format("{}:{}", name, node.Mark().line + 1);
}

/// A plain decimal number; YAML's own conversions would take 0x10 and 1_000 too.
std::int64_t whole(const YAML::Node& node, std::int64_t lowest, const std::string& name) {
  const std::string text = node.IsScalar() ? node.Scalar() : "";
  std::int64_t value = lowest - 1;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool good = error == std::errc() && stop == text.data() + text.size() && value >= lowest &&
                    value <= kMost;
  if (good) return value;
  throw InputError(where_of(node, name),
                   fmt::format("expected a whole number in [{}, {}]", lowest, kMost));
}

YAML::Node member(const YAML::Node& map, const std::string& key, const std::string& name) {
  const YAML::Node value = map.IsMap() ? map[key] : YAML::Node();
  if (value.IsDefined() && !value.IsNull()) return value;
  throw InputError(where_of(map, name), fmt::format("expected the key \"{}\"", key));
}

/// The balancer's own node: the document, or what server options hold under
/// moe_config.load_balancer (TensorRT-LLM's llm_args).
YAML::Node balancer_of(const YAML::Node& top) {
  if (!top.IsMap() || top["num_slots"].IsDefined()) return top;
  const YAML::Node options = top["moe_config"];
  const YAML::Node nested =
      options.IsDefined() && options.IsMap() ? options["load_balancer"] : top["load_balancer"];
  return nested.IsDefined() && nested.IsMap() ? nested : top;
}

/// Server options may name the file of the balancer instead of holding it.
void refuse_path(const YAML::Node& document, const std::string& name) {
  if (!document.IsMap()) return;
  const YAML::Node options = document["moe_config"];
  const YAML::Node nested =
      options.IsDefined() && options.IsMap() ? options["load_balancer"] : document["load_balancer"];
  if (!nested.IsDefined() || !nested.IsScalar()) return;
  throw InputError(where_of(nested, name),
                   fmt::format("these options name the file of the balancer, '{}': expected that "
                               "file",
                               nested.Scalar()));
}

PlacementFile placement_from(const YAML::Node& document, const PlacementHints& hints,
                             const std::string& name) {
  const YAML::Node top = balancer_of(document);
  refuse_path(document, name);
  if (top.IsMap() && !top["initial_global_assignments"].IsDefined()) {
    throw InputError(where_of(top, name),
                     "has no initial_global_assignments: the engine starts from slot s of rank r "
                     "holding expert (r * experts / ranks + s) % experts and balances while it "
                     "serves; plan without `from` instead");
  }
  const YAML::Node assignments = member(top, "initial_global_assignments", name);
  const auto slots = static_cast<std::size_t>(whole(member(top, "num_slots", name), 1, name));
  SlotRows rows;
  std::vector<std::int64_t> ids;
  for (const auto& layer : assignments) {
    if (!layer.first.IsDefined() || !layer.second.IsDefined() || !layer.second.IsSequence()) {
      throw InputError(where_of(assignments, name), "expected {layer: [experts]}");
    }
    ids.push_back(whole(layer.first, 0, name));
    rows.emplace_back();
    for (const YAML::Node& slot : layer.second) rows.back().push_back(whole(slot, -1, name));
    if (rows.back().size() != slots) {
      throw InputError(where_of(layer.second, name),
                       fmt::format("expected {} slots, got {}", slots, rows.back().size()));
    }
  }
  PlacementHints stated;
  // The generators' key, and that of the server options around a nested balancer.
  for (const YAML::Node& ranks : {top["ep_size"], document["moe_expert_parallel_size"]}) {
    if (ranks.IsDefined()) stated.num_ranks = static_cast<std::size_t>(whole(ranks, 1, name));
  }
  const std::string where = name + "#/initial_global_assignments";
  const std::vector<std::int64_t> layer_ids = sort_layers(ids, rows, where);
  return {placement_of(rows, stated, hints, where), layer_ids};
}

PlacementFile read_trtllm(ByteSource& bytes, const PlacementHints& hints) {
  const std::string name = bytes.name();
  try {
    return placement_from(YAML::Load(std::string(bytes.rest())), hints, name);
  } catch (const YAML::Exception& error) {
    throw InputError(fmt::format("{}:{}", name, error.mark.line + 1),
                     "not valid YAML: " + error.msg);
  }
}

void write_trtllm(std::ostream& out, const PlacementFile& file) {
  const Placement& placement = file.placement;
  // The engine refuses any other key; a comment may say what it knows from elsewhere.
  out << "# ep_size " << placement.ranks() << ": slot s is on rank s / "
      << placement.slots_per_rank() << "\nnum_slots: " << placement.slots()
      << "\nlayer_updates_per_iter: 0\ninitial_global_assignments:\n";
  for (const LayerId layer : all_ids<LayerId>(placement.layers())) {
    out << "  " << layer_id_of(file, layer) << ": " << row_text(placement.layer(layer)) << '\n';
  }
}

}  // namespace

PlacementFormat trtllm_placement_format() {
  return {"trtllm", "TensorRT-LLM moe_load_balancer.yaml",
          [](const FormatHead& head) {
            // JSON is YAML, which the engine reads too.
            if (head.bytes.substr(0, 1) == "{") {
              return head.has("moe_config") ||
                     (head.has("initial_global_assignments") && !head.has("record_type"));
            }
            return head.bytes.find("initial_global_assignments:") != std::string_view::npos ||
                   head.bytes.find("load_balancer:") != std::string_view::npos;
          },
          read_with<read_trtllm>, write_trtllm};
}

}  // namespace moeshift
