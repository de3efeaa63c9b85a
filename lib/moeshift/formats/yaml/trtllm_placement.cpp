// SPDX-License-Identifier: Apache-2.0
// TensorRT-LLM's moe_load_balancer.yaml: the model's own layer numbers to logical experts of slots.
#include <charconv>
#include <optional>
#include <ostream>
#include <vector>

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/placement_parts.hpp"
#include "moeshift/formats/yaml/yaml_document.hpp"

namespace moeshift {
namespace {

constexpr std::int64_t kMost = 1'000'000;

std::string where_of(const YAML::Node& node, const std::string& name) {
  return fmt::format("{}:{}", name, node.Mark().line + 1);
}

/// A plain decimal number, without leading zeros: YAML 1.1 (PyYAML, which the engine has) reads 010
/// as 8, 1_000 as 1000 and 1:30 as 90.
std::int64_t whole(const YAML::Node& node, std::int64_t lowest, const std::string& name,
                   std::string_view key = "") {
  const std::string text = node.IsScalar() ? node.Scalar() : "";
  std::int64_t value = lowest - 1;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool good = error == std::errc() && stop == text.data() + text.size() && value >= lowest &&
                    value <= kMost;
  if (good && std::to_string(value) == text) return value;
  throw InputError(
      where_of(node, name),
      fmt::format("{}expected a whole number in [{}, {}], in plain digits{}", key, lowest, kMost,
                  good ? fmt::format(": engines take {} for an octal number", text) : ""));
}

YAML::Node member(const YAML::Node& map, const std::string& key, const std::string& name) {
  const YAML::Node value = map.IsMap() ? map[key] : YAML::Node();
  if (value.IsDefined() && !value.IsNull()) return value;
  throw InputError(where_of(map, name), fmt::format("expected the key \"{}\"", key));
}

/// Server options (llm_args) may name the file of the balancer instead of holding it.
[[noreturn]] void refuse_path(const YAML::Node& balancer, const std::string& name) {
  throw InputError(where_of(balancer, name),
                   fmt::format("these options name the file of the balancer, '{}': expected that "
                               "file",
                               balancer.Scalar()));
}

bool is_balancer(const YAML::Node& map) {
  return map["num_slots"].IsDefined() || map["initial_global_assignments"].IsDefined();
}

/// The balancer's own node: the document, or what server options hold under load_balancer or
/// moe_config.load_balancer (TensorRT-LLM's llm_args). Two of them are two maps.
YAML::Node balancer_of(const YAML::Node& document, const std::string& name) {
  if (!document.IsMap()) return document;
  std::vector<YAML::Node> found;
  if (is_balancer(document)) found.push_back(document);
  const YAML::Node options = document["moe_config"];
  for (const YAML::Node& holder : {document, options}) {
    if (!holder.IsDefined() || !holder.IsMap()) continue;
    const YAML::Node nested = holder["load_balancer"];
    if (nested.IsDefined() && !nested.IsNull()) found.push_back(nested);
  }
  if (found.size() > 1) {
    throw InputError(where_of(found[1], name),
                     fmt::format("a second balancer, beside that of line {}: keep the one that is "
                                 "meant",
                                 found[0].Mark().line + 1));
  }
  if (found.empty()) return document;
  if (found.front().IsScalar()) refuse_path(found.front(), name);
  return found.front();
}

/// How many ranks a key says: the engine takes null and -1 for "not set".
std::optional<std::size_t> ranks_at(const YAML::Node& map, const std::string& key,
                                    const std::string& name) {
  const YAML::Node value = map.IsMap() ? map[key] : YAML::Node();
  if (!value.IsDefined() || value.IsNull()) return {};
  if (value.IsScalar() && value.Scalar() == "-1") return {};
  return static_cast<std::size_t>(whole(value, 1, name, key + ": "));
}

/// The generators' key in the balancer, and those of the server options around it.
std::optional<std::size_t> ranks_of(const YAML::Node& document, const YAML::Node& balancer,
                                    const std::string& name) {
  std::optional<std::size_t> ranks;
  std::string by;
  const auto hear = [&](const YAML::Node& map, const std::string& key) {
    const std::optional<std::size_t> said = ranks_at(map, key, name);
    if (said && ranks && *said != *ranks) {
      throw InputError(where_of(map[key], name),
                       fmt::format("{} says {} ranks, and {} {}: correct the wrong one", key, *said,
                                   by, *ranks));
    }
    if (!said) return;
    ranks = said;
    by = key;
  };
  hear(balancer, "ep_size");
  hear(document, "ep_size");
  hear(document, "moe_expert_parallel_size");
  return ranks;
}

PlacementFile placement_from(const YAML::Node& document, const PlacementHints& hints,
                             const std::string& name) {
  const YAML::Node top = balancer_of(document, name);
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
  stated.num_ranks = ranks_of(document, top, name);
  const std::string where = name + "#/initial_global_assignments";
  const std::vector<std::int64_t> layer_ids = sort_layers(ids, rows, where);
  return {placement_of(rows, stated, hints, where), layer_ids};
}

PlacementFile read_trtllm(ByteSource& bytes, const PlacementHints& hints) {
  const std::string name = bytes.name();
  try {
    return placement_from(yaml_document(std::string(bytes.rest()), name), hints, name);
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
            if (!head.keys.empty()) {
              return head.has("moe_config") || head.has("load_balancer") ||
                     (head.has("initial_global_assignments") && !head.has("record_type"));
            }
            return head.bytes.find("initial_global_assignments") != std::string_view::npos ||
                   head.bytes.find("load_balancer") != std::string_view::npos;
          },
          read_with<read_trtllm>, write_trtllm};
}

}  // namespace moeshift
