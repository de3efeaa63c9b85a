// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/engines/layer_numbers.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/engines/layer_choice.hpp"
#include "moeshift/formats/engines/layer_rows.hpp"
#include "moeshift/formats/placement_parts.hpp"

namespace moeshift {
namespace {

using Ids = std::vector<std::int64_t>;

Ids counted_from(std::int64_t first, std::size_t count) {
  Ids ids(count);
  std::iota(ids.begin(), ids.end(), first);
  return ids;
}

/// Rows that say nothing, as those of dense layers (and of layers that were never planned).
std::vector<std::size_t> trivial_rows(const Placement& placement) {
  std::vector<std::size_t> rows;
  for (const LayerId layer : all_ids<LayerId>(placement.layers())) {
    if (in_expert_order(placement, layer)) rows.push_back(layer.index());
  }
  return rows;
}

[[noreturn]] void ask_for_dense_rows(const PlacementFile& file, const EngineFormat& format,
                                     const std::string& name,
                                     const std::vector<std::size_t>& trivial) {
  std::size_t first = 0;  // row that is not of a dense layer, where those come first
  while (first < trivial.size() && trivial[first] == first) ++first;
  const bool all = first == file.placement.layers();
  throw InputError(
      name, fmt::format("row{} {} hold{} the experts in order, as rows of dense layers do, which "
                        "{} does not take: say by `model` which layers have experts, or by "
                        "`layers` {}: that all from there on have",
                        trivial.size() > 1 ? "s" : "", fmt::join(trivial, ", "),
                        trivial.size() > 1 ? "" : "s", format.name, all ? 0 : first));
}

/// `said`, else the plan: who an option contradicts.
const std::string& who(const std::string& said, const std::string& name) {
  return said.empty() ? name : said;
}

void check_hidden_layers(const PlacementFile& file, const ExportOptions& options,
                         const std::string& name) {
  const auto& asked = options.num_hidden_layers;
  if (!asked || file.num_hidden_layers.value_or(*asked) == *asked) return;
  throw InputError("num-hidden-layers",
                   fmt::format("{} says {}: leave it out", who(options.hidden_layers_by, name),
                               *file.num_hidden_layers));
}

void check_first_layer(const PlacementFile& file, const ExportOptions& options,
                       const std::string& name) {
  if (!options.first_layer || file.layer_ids.empty()) return;
  if (counted_from(*options.first_layer, file.layer_ids.size()) == file.layer_ids) return;
  throw InputError(
      "first-layer",
      fmt::format("{} numbers {} layers itself, {}: leave it out", who(options.numbers_by, name),
                  options.numbers_by.empty() ? "its" : "the", fmt::join(file.layer_ids, ", ")));
}

/// Rows by ascending layer, as engines count them: a trace may name its layers in any order.
PlacementFile in_order(PlacementFile file) {
  if (std::ranges::is_sorted(file.layer_ids)) return file;
  std::vector<LayerRow> rows = rows_of(file);
  std::ranges::sort(rows, {}, &LayerRow::id);
  return of_rows(std::move(file), rows);
}

/// Layers beyond the hidden ones are draft layers only where that is known: the model names them,
/// or whoever numbers the layers also says how many are hidden.
void check_beyond(const PlacementFile& file, const ExportOptions& options, bool one_says_both,
                  const std::string& name) {
  const std::size_t hidden = *file.num_hidden_layers;
  const std::string option = options.num_hidden_layers ? "num-hidden-layers" : name;
  if (file.layer_ids.empty()) {
    if (file.placement.layers() <= hidden) return;
    throw InputError(option,
                     fmt::format("{} has {} layers with experts, more than {} hidden layers: "
                                 "correct that, or say by `model` which layers they are",
                                 name, file.placement.layers(), hidden));
  }
  const auto known = [&](std::int64_t id) {
    if (options.model)
      return std::ranges::find(options.model->drafts, id) != options.model->drafts.end();
    return one_says_both;
  };
  Ids beyond;
  for (const std::int64_t id : file.layer_ids) {
    const bool inside = id < static_cast<std::int64_t>(hidden);
    if (!inside && !known(id) && is_chosen(options, id)) beyond.push_back(id);
  }
  if (beyond.empty()) return;
  throw InputError(
      option,
      fmt::format("{} has layer{} {} beyond {} hidden layers, and nothing says that these "
                  "are draft layers: correct that, add the `model` that has them, or leave "
                  "them out by `layers` :{}",
                  name, beyond.size() > 1 ? "s" : "", fmt::join(beyond, ", "), hidden, hidden));
}

}  // namespace

void ask_for_numbers(const PlacementFile& file, const EngineFormat& format,
                     const std::string& name) {
  if (format.rules.every_layer) {
    throw InputError(
        name, fmt::format("{} wants a row for every layer of the model, dense ones too, and "
                          "nothing says how many those are: add `model`, or {}`num-hidden-layers`",
                          format.name, file.layer_ids.empty() ? "`first-layer` and " : ""));
  }
  throw InputError(name, fmt::format("{} finds layers by their number in the model, which nothing "
                                     "says: add `model` or `first-layer`",
                                     format.name));
}

PlacementFile of_layers_with_experts(PlacementFile file, const EngineFormat& format,
                                     const ExportOptions& options, const std::string& name,
                                     std::vector<std::string>& notes) {
  if (file.rows == MapRows::kMoeLayers || !file.layer_ids.empty()) return file;
  const bool in_place = format.rules.every_layer && options.first_layer.value_or(0) == 0;
  const bool chosen = options.layers_from || options.layers_to;
  const std::vector<std::size_t> trivial = trivial_rows(file.placement);
  // A list or an array may well be of layers with experts alone, and what no engine loads misleads
  // none.
  const bool said = file.rows == MapRows::kUnsaid && format.rules.empty_slots;
  if (!in_place && !chosen && !trivial.empty()) {
    if (!said) ask_for_dense_rows(file, format, name, trivial);
    notes.push_back(fmt::format(
        "rows {} hold the experts in order, as rows of dense layers do: taken for layers with "
        "experts",
        fmt::join(trivial, ", ")));
  }
  // A row for every layer, none of them a dense one's: rows are layers by their places.
  const bool by_number = file.rows == MapRows::kHiddenLayers && !options.first_layer &&
                         (in_place || chosen || trivial.empty());
  if (!by_number) return file;
  if (!options.num_hidden_layers) file.num_hidden_layers = file.placement.layers();
  file.layer_ids = counted_from(0, file.placement.layers());
  return file;
}

PlacementFile numbered(PlacementFile file, const EngineFormat& format, const ExportOptions& options,
                       const std::string& name) {
  check_hidden_layers(file, options, name);
  check_first_layer(file, options, name);
  const bool one_says_both = file.num_hidden_layers && !file.layer_ids.empty();
  const std::size_t layers = file.placement.layers();
  if (options.num_hidden_layers) file.num_hidden_layers = options.num_hidden_layers;
  if (options.first_layer) file.layer_ids = counted_from(*options.first_layer, layers);
  file = in_order(std::move(file));
  if (file.num_hidden_layers) check_beyond(file, options, one_says_both, name);
  const bool known = !file.layer_ids.empty() || file.num_hidden_layers == layers;
  if (!known && format.rules.own_numbers) ask_for_numbers(file, format, name);
  return file;
}

}  // namespace moeshift
