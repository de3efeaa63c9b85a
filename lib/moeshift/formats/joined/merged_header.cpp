// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/joined/merged_header.hpp"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

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

void merge_header(TraceHeader& into, const TraceHeader& other, const std::string& where) {
  if (into.num_layers != other.num_layers || into.num_experts != other.num_experts) {
    throw InputError(
        where, fmt::format("expected {} layers x {} experts, as in the files before, "
                           "got {} x {}",
                           into.num_layers, into.num_experts, other.num_layers, other.num_experts));
  }
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
  // Slots may change from file to file, as maps do within one.
  if (!into.num_slots) into.num_slots = other.num_slots;
}

void unite_layers(TraceHeader& into, const TraceHeader& other) {
  std::vector<std::int64_t> all;
  std::ranges::set_union(into.layer_ids, other.layer_ids, std::back_inserter(all));
  into.layer_ids = std::move(all);
  into.num_layers = into.layer_ids.size();
}

LoadMatrix in_layers_of(const LoadMatrix& load, const TraceHeader& from, const TraceHeader& to) {
  if (from.layer_ids == to.layer_ids) return load;
  LoadMatrix moved(to.num_layers, to.num_experts);
  for (const LayerId layer : load.row_ids()) {
    const auto at = std::ranges::find(to.layer_ids, from.layer_ids[layer.index()]);
    const auto index = static_cast<std::size_t>(at - to.layer_ids.begin());
    std::ranges::copy(load.row(layer), moved.row(LayerId(index)).begin());
  }
  return moved;
}

}  // namespace moeshift
