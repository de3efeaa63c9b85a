// SPDX-License-Identifier: Apache-2.0
// Which rows of a map are of which layers: the one place where a file's rows meet the layers of a
// trace or a model.
#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/placement_format.hpp"
#include "moeshift/formats/placement_parts.hpp"

namespace moeshift {
namespace {

using Ids = std::span<const std::int64_t>;

/// The rows `from`, in that order.
PlacementFile with_rows(PlacementFile file, std::span<const LayerId> from) {
  IdMatrix<LayerId, SlotId, ExpertId> slots(from.size(), file.placement.slots());
  LoadMatrix load(file.load.rows() > 0 ? from.size() : 0, file.load.columns());
  for (const LayerId layer : slots.row_ids()) {
    std::ranges::copy(file.placement.layer(from[layer.index()]), slots.row(layer).begin());
  }
  for (const LayerId layer : load.row_ids()) {
    std::ranges::copy(file.load.row(from[layer.index()]), load.row(layer).begin());
  }
  file.placement = Placement(file.placement.experts(), file.placement.ranks(), std::move(slots));
  file.load = std::move(load);
  return file;
}

/// The row of each of `ids` in a file whose rows are of the layers `rows`.
std::vector<LayerId> rows_named(Ids rows, Ids ids) {
  std::vector<LayerId> from;
  for (const std::int64_t id : ids) {
    from.emplace_back(static_cast<std::size_t>(std::ranges::find(rows, id) - rows.begin()));
  }
  return from;
}

/// A row that is left out is of a layer without experts, where a map says nothing. One that holds
/// a placement shows that the layers are not those of the map's model.
void check_left_out(const PlacementFile& file, Ids ids, const std::string& name) {
  std::vector<std::size_t> placed;
  for (const LayerId row : all_ids<LayerId>(file.placement.layers())) {
    const bool kept = std::ranges::find(ids, static_cast<std::int64_t>(row.index())) != ids.end();
    if (!kept && !in_expert_order(file.placement, row)) placed.push_back(row.index());
  }
  if (placed.empty()) return;
  throw InputError(
      name,
      fmt::format("has a row for each of {} hidden layers, and row{} {} hold{} no dense layer "
                  "but a placement; layers with experts are {} to {} here: name the model "
                  "that the map is of",
                  file.placement.layers(), placed.size() > 1 ? "s" : "", fmt::join(placed, ", "),
                  placed.size() > 1 ? "" : "s", std::ranges::min(ids), std::ranges::max(ids)));
}

}  // namespace

bool in_expert_order(const Placement& placement, LayerId layer) {
  const auto row = placement.layer(layer);
  if (std::ranges::all_of(row, [](ExpertId expert) { return expert.is_none(); })) return true;
  const std::size_t experts = placement.experts();
  const auto holds = [&](auto&& expected) {
    for (std::size_t slot = 0; slot < row.size(); ++slot) {
      if (row[slot] != ExpertId(expected(slot))) return false;
    }
    return true;
  };
  return holds([&](std::size_t slot) { return slot % experts; }) ||
         holds([&](std::size_t slot) { return slot < experts ? slot : 0; });
}

PlacementFile with_layers(PlacementFile file, Ids ids, const std::string& where) {
  if (std::ranges::equal(file.layer_ids, ids)) return file;
  std::vector<LayerId> from;
  for (const std::int64_t id : ids) {
    const auto found = std::ranges::find(file.layer_ids, id);
    if (found == file.layer_ids.end()) {
      throw InputError(where, fmt::format("the map has no layer {}: expected the map of these "
                                          "layers, got that of {}",
                                          id, fmt::join(file.layer_ids, ", ")));
    }
    from.emplace_back(static_cast<std::size_t>(found - file.layer_ids.begin()));
  }
  file.layer_ids.assign(ids.begin(), ids.end());
  return with_rows(std::move(file), from);
}

PlacementFile in_layer_order(PlacementFile file) {
  std::vector<std::int64_t> ids = file.layer_ids;
  std::ranges::sort(ids);
  return with_layers(std::move(file), ids, "");
}

PlacementFile of_moe_layers(PlacementFile file, Ids ids,
                            std::optional<std::size_t> num_hidden_layers, const std::string& name) {
  const std::size_t rows = file.placement.layers();
  const auto take = [&](const std::vector<LayerId>& from) {
    file = with_rows(std::move(file), from);
    file.layer_ids.assign(ids.begin(), ids.end());
  };
  if (!file.layer_ids.empty()) {
    const bool same = std::ranges::is_permutation(file.layer_ids, ids);
    return same ? with_layers(std::move(file), ids, name) : file;
  }
  if (ids.size() == rows) {
    std::vector<std::int64_t> ascending(ids.begin(), ids.end());
    std::ranges::sort(ascending);
    if (!std::ranges::equal(ascending, ids)) take(rows_named(ascending, ids));
    return file;
  }
  const bool whole = num_hidden_layers == rows && ids.size() < rows && !ids.empty() &&
                     std::ranges::min(ids) >= 0 &&
                     std::ranges::max(ids) < static_cast<std::int64_t>(rows);
  if (!whole) return file;
  check_left_out(file, ids, name);
  std::vector<LayerId> from;
  for (const std::int64_t id : ids) from.emplace_back(static_cast<std::size_t>(id));
  take(from);
  file.num_hidden_layers = num_hidden_layers;
  file.rows = MapRows::kMoeLayers;
  return file;
}

void order_alike(PlacementFile& old, PlacementFile& next) {
  next = of_moe_layers(std::move(next), old.layer_ids, {}, "");
  old = of_moe_layers(std::move(old), next.layer_ids, {}, "");
}

}  // namespace moeshift
