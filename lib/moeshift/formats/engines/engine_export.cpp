// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/engines/engine_export.hpp"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/engines/repair.hpp"
#include "moeshift/formats/placement_parts.hpp"

namespace moeshift {
namespace {

using Slots = IdMatrix<LayerId, SlotId, ExpertId>;
using Row = std::vector<ExpertId>;
using Ids = std::vector<std::int64_t>;

std::int64_t number_in(std::string_view digits, std::string_view text) {
  std::int64_t value = -1;
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, value);
  if (error == std::errc() && stop == end && value >= 0) return value;
  throw InputError("extra-layers",
                   fmt::format("'{}': expected a layer, as 61, 61=trivial or 61=copy:60", text));
}

/// A placement in pieces, while rows are chosen and added.
struct Rows {
  std::vector<std::int64_t> ids;
  std::vector<Row> rows;
};

Rows rows_of(const PlacementFile& file) {
  Rows all;
  for (const LayerId layer : all_ids<LayerId>(file.placement.layers())) {
    const auto row = file.placement.layer(layer);
    all.ids.push_back(layer_id_of(file, layer));
    all.rows.emplace_back(row.begin(), row.end());
  }
  return all;
}

PlacementFile put_together(PlacementFile file, Rows all) {
  Slots slots(all.rows.size(), file.placement.slots());
  for (const LayerId layer : slots.row_ids()) {
    std::copy(all.rows[layer.index()].begin(), all.rows[layer.index()].end(),
              slots.row(layer).begin());
  }
  const std::size_t experts = file.placement.experts();
  file.placement = Placement(experts, file.placement.ranks(), std::move(slots));
  file.layer_ids = std::move(all.ids);
  return file;
}

Row trivial_row(const Placement& placement) {
  Row row;
  for (std::size_t slot = 0; slot < placement.slots(); ++slot) {
    row.emplace_back(slot % placement.experts());
  }
  return row;
}

/// Steps of the way to an engine; each returns what the next one takes.
class Preparation {
 public:
  Preparation(const EngineFormat& format, const ExportOptions& options, std::string name,
              std::vector<std::string>& notes)
      : format_(format), options_(options), name_(std::move(name)), notes_(notes) {}

  /// Maps that may have rows of dense layers go on with the rows of layers with experts.
  PlacementFile of_layers_with_experts(PlacementFile file) const {
    if (file.rows == MapRows::kMoeLayers || !file.layer_ids.empty()) return file;
    const bool in_place = format_.rules.every_layer && options_.first_layer.value_or(0) == 0;
    const bool chosen = options_.layers_from || options_.layers_to;
    const std::vector<std::size_t> trivial = trivial_rows(file.placement);
    // A list may well be of layers with experts alone, and what no engine loads misleads none.
    const bool said = file.rows == MapRows::kUnsaid && format_.rules.empty_slots;
    if (!in_place && !chosen && !trivial.empty()) {
      if (!said) ask_for_dense_rows(file, trivial);
      notes_.push_back(fmt::format(
          "rows {} hold the experts in order, as rows of dense layers do: taken for layers with "
          "experts",
          fmt::join(trivial, ", ")));
    }
    const bool by_number =
        file.rows == MapRows::kHiddenLayers && !options_.first_layer && (in_place || chosen);
    if (!by_number) return file;
    if (!options_.num_hidden_layers) file.num_hidden_layers = file.placement.layers();
    file.layer_ids.resize(file.placement.layers());
    std::iota(file.layer_ids.begin(), file.layer_ids.end(), std::int64_t{0});
    return file;
  }

  /// Gives the layers their numbers, as PLAN or the options say them.
  PlacementFile numbered(PlacementFile file) {
    check_hidden_layers(file);
    if (options_.num_hidden_layers) file.num_hidden_layers = options_.num_hidden_layers;
    const std::size_t layers = file.placement.layers();
    check_first_layer(file);
    if (options_.first_layer) {
      file.layer_ids.resize(layers);
      std::iota(file.layer_ids.begin(), file.layer_ids.end(), *options_.first_layer);
    }
    file = in_order(std::move(file));
    const bool all = file.num_hidden_layers && *file.num_hidden_layers == layers;
    const bool known = !file.layer_ids.empty() || all;
    if (file.num_hidden_layers && !file.layer_ids.empty() && !format_.rules.drafts &&
        file.layer_ids.front() >= static_cast<std::int64_t>(*file.num_hidden_layers)) {
      throw InputError("num-hidden-layers",
                       fmt::format("{} has layers from {} on", name_, file.layer_ids.front()));
    }
    if (!known && format_.rules.own_numbers) ask_for_numbers(file);
    return file;
  }

  /// --layers
  PlacementFile chosen(PlacementFile file) const {
    if (!options_.layers_from && !options_.layers_to) return file;
    const Rows all = rows_of(file);
    Rows kept;
    LoadMatrix load(0, 0);
    std::vector<LayerId> from;
    for (std::size_t i = 0; i < all.ids.size(); ++i) {
      if (options_.layers_from && all.ids[i] < *options_.layers_from) continue;
      if (options_.layers_to && all.ids[i] >= *options_.layers_to) continue;
      kept.ids.push_back(all.ids[i]);
      kept.rows.push_back(all.rows[i]);
      from.emplace_back(i);
    }
    if (kept.ids.empty()) {
      throw InputError(
          "layers", fmt::format("{} has layers {} to {}", name_, all.ids.front(), all.ids.back()));
    }
    if (file.load.rows() > 0) file.load = load_rows(file.load, from);
    return put_together(std::move(file), std::move(kept));
  }

  /// --extra-layers
  PlacementFile extended(PlacementFile file) const {
    if (options_.extra_layers.empty()) return file;
    Rows all = rows_of(file);
    for (const ExtraLayer& extra : options_.extra_layers) {
      const auto row_at = [&](std::int64_t id) {
        return static_cast<std::size_t>(std::find(all.ids.begin(), all.ids.end(), id) -
                                        all.ids.begin());
      };
      if (row_at(extra.id) < all.ids.size()) {
        throw InputError("extra-layers", fmt::format("{} has layer {} already", name_, extra.id));
      }
      Row row = trivial_row(file.placement);
      if (extra.copy_of) {
        const std::size_t source = row_at(*extra.copy_of);
        if (source == all.ids.size()) {
          throw InputError("extra-layers",
                           fmt::format("{} has no layer {} to copy", name_, *extra.copy_of));
        }
        row = all.rows[source];
      }
      const auto at = std::upper_bound(all.ids.begin(), all.ids.end(), extra.id) - all.ids.begin();
      all.ids.insert(all.ids.begin() + at, extra.id);
      all.rows.insert(all.rows.begin() + at, std::move(row));
    }
    file.load = LoadMatrix();
    return put_together(std::move(file), std::move(all));
  }

  /// --fill and --distinct
  PlacementFile mended(PlacementFile file) const {
    if (!options_.fill && !options_.distinct) return file;
    Repairs repairs;
    file.placement = repaired(file.placement, file.load, options_.fill, options_.distinct, repairs);
    if (repairs.filled > 0) {
      notes_.push_back(
          fmt::format("{} empty slots filled{}", repairs.filled,
                      file.load.rows() > 0 ? "" : ", by replicas: PLAN says no loads"));
    }
    if (repairs.replaced > 0) {
      notes_.push_back(fmt::format("{} second replicas of a rank replaced", repairs.replaced));
    }
    for (const RankId rank : repairs.revived) {
      notes_.push_back(fmt::format("rank {} held nothing: it will serve now", rank.value()));
    }
    return file;
  }

  /// Draft layers that the engine plans apart are left out.
  PlacementFile without_drafts(PlacementFile file) const {
    if (format_.rules.drafts || !file.num_hidden_layers) return file;
    const Rows all = rows_of(file);
    Rows kept;
    std::vector<std::int64_t> dropped;
    for (std::size_t i = 0; i < all.ids.size(); ++i) {
      if (all.ids[i] >= static_cast<std::int64_t>(*file.num_hidden_layers)) {
        dropped.push_back(all.ids[i]);
        continue;
      }
      kept.ids.push_back(all.ids[i]);
      kept.rows.push_back(all.rows[i]);
    }
    if (dropped.empty()) return file;
    notes_.push_back(
        fmt::format("layer {} is a draft layer, which {} does not take from this file: "
                    "left out",
                    fmt::join(dropped, ", "), format_.name));
    return put_together(std::move(file), std::move(kept));
  }

  void check(const PlacementFile& file) const {
    const Placement& placement = file.placement;
    for (const LayerId layer : all_ids<LayerId>(placement.layers())) {
      const std::int64_t id = layer_id_of(file, layer);
      const auto slots = placement.layer(layer);
      const auto empty = std::find_if(slots.begin(), slots.end(),
                                      [](ExpertId expert) { return expert.is_none(); });
      if (!format_.rules.empty_slots && empty != slots.end()) {
        throw InputError(name_,
                         fmt::format("layer {}: slot {} holds nothing, which {} cannot load; "
                                     "`fill` puts a replica there",
                                     id, empty - slots.begin(), format_.name));
      }
      if (const auto missing = placement.uncovered(layer); !missing.empty()) {
        throw InputError(name_,
                         fmt::format("layer {}: expected every expert in a slot, {} has none", id,
                                     missing.front().value()));
      }
      if (!format_.rules.repeats && placement.duplicates(layer) > 0) {
        if (placement.slots_per_rank() > placement.experts()) {
          throw InputError(name_, fmt::format("layer {}: a rank of {} slots must hold one of {} "
                                              "experts twice, which {} cannot load: plan at most "
                                              "{} slots per rank",
                                              id, placement.slots_per_rank(), placement.experts(),
                                              format_.name, placement.experts()));
        }
        throw InputError(name_,
                         fmt::format("layer {}: a rank holds an expert twice, which {} cannot "
                                     "load; `distinct` gives the second slot another expert",
                                     id, format_.name));
      }
    }
  }

  /// The trivial map for every layer of the model that is not in the plan.
  PlacementFile with_every_layer(PlacementFile file) const {
    if (!format_.rules.every_layer) return file;
    if (!file.num_hidden_layers) ask_for_numbers(file);
    const Rows all = rows_of(file);
    Rows padded;
    std::size_t next = 0;
    for (std::int64_t id = 0; id < static_cast<std::int64_t>(*file.num_hidden_layers); ++id) {
      const bool planned = next < all.ids.size() && all.ids[next] == id;
      padded.ids.push_back(id);
      padded.rows.push_back(planned ? all.rows[next] : trivial_row(file.placement));
      next += planned ? 1U : 0U;
    }
    const std::size_t dense = padded.ids.size() - all.ids.size();
    if (dense > 0) {
      notes_.push_back(fmt::format("{} layer{} not in the plan got the trivial map", dense,
                                   dense == 1 ? "" : "s"));
    }
    return put_together(std::move(file), std::move(padded));
  }

 private:
  void check_hidden_layers(const PlacementFile& file) const {
    const auto& asked = options_.num_hidden_layers;
    if (!asked || file.num_hidden_layers.value_or(*asked) == *asked) return;
    throw InputError("num-hidden-layers",
                     fmt::format("{} says {}: leave it out", name_, *file.num_hidden_layers));
  }

  void check_first_layer(const PlacementFile& file) const {
    if (!options_.first_layer || file.layer_ids.empty()) return;
    Ids counted(file.layer_ids.size());
    std::iota(counted.begin(), counted.end(), *options_.first_layer);
    if (counted == file.layer_ids) return;
    throw InputError("first-layer", fmt::format("{} numbers its layers itself, {}: leave it out",
                                                name_, fmt::join(file.layer_ids, ", ")));
  }

  /// Rows by ascending layer, as engines count them: a trace may name its layers in any order.
  static PlacementFile in_order(PlacementFile file) {
    if (std::is_sorted(file.layer_ids.begin(), file.layer_ids.end())) return file;
    std::vector<LayerId> from = all_ids_of(file);
    std::sort(from.begin(), from.end(), [&](LayerId a, LayerId b) {
      return file.layer_ids[a.index()] < file.layer_ids[b.index()];
    });
    const Rows all = rows_of(file);
    Rows sorted;
    for (const LayerId layer : from) {
      sorted.ids.push_back(all.ids[layer.index()]);
      sorted.rows.push_back(all.rows[layer.index()]);
    }
    if (file.load.rows() > 0) file.load = load_rows(file.load, from);
    return put_together(std::move(file), std::move(sorted));
  }

  static std::vector<LayerId> all_ids_of(const PlacementFile& file) {
    std::vector<LayerId> ids;
    for (const LayerId layer : all_ids<LayerId>(file.placement.layers())) ids.push_back(layer);
    return ids;
  }

  /// Rows that say nothing, as those of dense layers (and of layers that were never planned).
  static std::vector<std::size_t> trivial_rows(const Placement& placement) {
    const Row trivial = trivial_row(placement);
    std::vector<std::size_t> rows;
    for (const LayerId layer : all_ids<LayerId>(placement.layers())) {
      if (std::ranges::equal(placement.layer(layer), trivial)) rows.push_back(layer.index());
    }
    return rows;
  }

  [[noreturn]] void ask_for_dense_rows(const PlacementFile& file,
                                       const std::vector<std::size_t>& trivial) const {
    std::size_t first = 0;  // row that is not of a dense layer, where those come first
    while (first < trivial.size() && trivial[first] == first) ++first;
    const bool all = first == file.placement.layers();
    throw InputError(
        name_,
        fmt::format("row{} {} hold{} the experts in order, as rows of dense layers do, which "
                    "{} does not take: say by `model` which layers have experts, or by "
                    "`layers` {}: that all from there on have",
                    trivial.size() > 1 ? "s" : "", fmt::join(trivial, ", "),
                    trivial.size() > 1 ? "" : "s", format_.name, all ? 0 : first));
  }

  [[noreturn]] void ask_for_numbers(const PlacementFile& file) const {
    if (format_.rules.every_layer) {
      throw InputError(
          name_,
          fmt::format("{} wants a row for every layer of the model, dense ones too, and "
                      "nothing says how many those are: add `model`, or {}`num-hidden-layers`",
                      format_.name, file.layer_ids.empty() ? "`first-layer` and " : ""));
    }
    throw InputError(name_,
                     fmt::format("{} finds layers by their number in the model, which nothing "
                                 "says: add `model` or `first-layer`",
                                 format_.name));
  }

  static LoadMatrix load_rows(const LoadMatrix& load, const std::vector<LayerId>& from) {
    LoadMatrix rows(from.size(), load.columns());
    for (const LayerId layer : rows.row_ids()) {
      const auto row = load.row(from[layer.index()]);
      std::copy(row.begin(), row.end(), rows.row(layer).begin());
    }
    return rows;
  }

  const EngineFormat& format_;
  const ExportOptions& options_;
  std::string name_;
  std::vector<std::string>& notes_;
};

}  // namespace

ExtraLayer parse_extra_layer(std::string_view text) {
  const std::size_t equals = text.find('=');
  ExtraLayer extra{.id = number_in(text.substr(0, equals), text), .copy_of = {}};
  if (equals == std::string_view::npos) return extra;
  const std::string_view how = text.substr(equals + 1);
  if (how == "trivial") return extra;
  constexpr std::string_view kCopy = "copy:";
  if (how.substr(0, kCopy.size()) != kCopy) number_in("", text);
  extra.copy_of = number_in(how.substr(kCopy.size()), text);
  return extra;
}

ExportReady ready_for(const EngineFormat& format, PlacementFile file, const ExportOptions& options,
                      const std::string& name) {
  ExportReady ready{std::move(file), {}};
  Preparation step(format, options, name, ready.notes);
  PlacementFile plan = step.numbered(step.of_layers_with_experts(std::move(ready.file)));
  plan = step.extended(step.chosen(std::move(plan)));
  plan = step.without_drafts(step.mended(std::move(plan)));
  step.check(plan);
  ready.file = step.with_every_layer(std::move(plan));
  if (!format.unreleased.empty()) {
    ready.notes.push_back(
        fmt::format("{} reads this by an open pull request ({}), in no release yet", format.name,
                    format.unreleased));
  }
  return ready;
}

}  // namespace moeshift
