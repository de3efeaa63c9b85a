// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/joined/merged_header.hpp"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

void agree(std::optional<std::size_t>& into, std::optional<std::size_t> other,
           std::string_view what, const std::string& where) {
  if (into && other && *into != *other) {
    throw InputError(
        where, fmt::format("expected {} {}, as in the files before, got {}", *into, what, *other));
  }
  if (!into) into = other;
}

}  // namespace

namespace {

/// Keys that only `other` has are added; of two that differ the first stays.
void merge_other_keys(TraceHeader& into, const TraceHeader& other, const std::string& where) {
  if (into.other_json == other.other_json) return;
  auto keys = nlohmann::ordered_json::parse(into.other_json);
  const auto others = nlohmann::ordered_json::parse(other.other_json);
  for (const auto& [key, value] : others.items()) {
    const auto known = keys.find(key);
    if (known == keys.end()) {
      keys[key] = value;
    } else if (*known != value) {
      into.notes.push_back(fmt::format(
          "the header of {} has another \"{}\" than the files before, whose stays", where, key));
    }
  }
  into.other_json = keys.dump();
}

/// What may differ from file to file is said.
void note_changes(TraceHeader& into, const TraceHeader& other, const std::string& where) {
  if (into.layer_ids.empty() != other.layer_ids.empty()) {
    into.notes.push_back(
        fmt::format("{} {} its layers, the files before {}: rows are taken for the same layers, in "
                    "order of their numbers",
                    where, into.layer_ids.empty() ? "numbers" : "does not number",
                    into.layer_ids.empty() ? "do not" : "do"));
  }
  if (into.num_slots && other.num_slots && *into.num_slots != *other.num_slots) {
    into.notes.push_back(
        fmt::format("{} was recorded with {} slots, the files before with {}: the "
                    "latter are taken for those of the recording",
                    where, *other.num_slots, *into.num_slots));
  }
}

}  // namespace

void merge_header(TraceHeader& into, const TraceHeader& other, const std::string& where) {
  if (into.num_layers != other.num_layers || into.num_experts != other.num_experts) {
    throw InputError(
        where, fmt::format("expected {} layers x {} experts, as in the files before, "
                           "got {} x {}",
                           into.num_layers, into.num_experts, other.num_layers, other.num_experts));
  }
  note_changes(into, other, where);
  if (into.layer_ids.empty()) into.layer_ids = other.layer_ids;
  if (!other.layer_ids.empty() && into.layer_ids != other.layer_ids) {
    throw InputError(where, "expected the layers of the files before (other layer_ids)");
  }
  if (into.model.empty()) into.model = other.model;
  if (!other.model.empty() && into.model != other.model) {
    throw InputError(where, fmt::format("expected the model '{}' of the files before, got '{}'",
                                        into.model, other.model));
  }
  agree(into.top_k, other.top_k, "experts per token", where);
  agree(into.num_expert_groups, other.num_expert_groups, "expert groups", where);
  agree(into.num_ranks, other.num_ranks, "ranks", where);
  agree(into.num_nodes, other.num_nodes, "nodes", where);
  agree(into.num_hidden_layers, other.num_hidden_layers, "hidden layers", where);
  // Slots may change from file to file, as maps do within one.
  if (!into.num_slots) into.num_slots = other.num_slots;
  if (into.source.empty()) into.source = other.source;
  if (into.licence.empty()) into.licence = other.licence;
  if (!other.licence.empty() && into.licence != other.licence) {
    into.notes.push_back(fmt::format("{} has the licence '{}', the files before '{}', which stays",
                                     where, other.licence, into.licence));
  }
  merge_other_keys(into, other, where);
}

void unite_layers(TraceHeader& into, const TraceHeader& other) {
  const std::size_t before = into.layer_ids.size();
  std::ranges::copy_if(other.layer_ids, std::back_inserter(into.layer_ids), [&](std::int64_t id) {
    const auto end = into.layer_ids.begin() + static_cast<std::ptrdiff_t>(before);
    return std::find(into.layer_ids.begin(), end, id) == end;
  });
  // Layers that only one file has come between those of the others, by their numbers.
  if (into.layer_ids.size() > before) std::ranges::sort(into.layer_ids);
  into.num_layers = into.layer_ids.size();
}

LoadMatrix in_layers_of(LoadMatrix load, const TraceHeader& from, const TraceHeader& to) {
  if (to.layer_ids.empty() || from.layer_ids == to.layer_ids) return load;
  std::vector<std::int64_t> ids = from.layer_ids.empty() ? to.layer_ids : from.layer_ids;
  if (from.layer_ids.empty()) std::ranges::sort(ids);
  if (ids == to.layer_ids) return load;
  LoadMatrix moved(to.num_layers, to.num_experts);
  for (const LayerId layer : load.row_ids()) {
    const auto at = std::ranges::find(to.layer_ids, ids[layer.index()]);
    const auto index = static_cast<std::size_t>(at - to.layer_ids.begin());
    std::ranges::copy(load.row(layer), moved.row(LayerId(index)).begin());
  }
  return moved;
}

}  // namespace moeshift
