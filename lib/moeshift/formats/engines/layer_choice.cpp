// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/engines/layer_choice.hpp"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/engines/layer_numbers.hpp"
#include "moeshift/formats/engines/layer_rows.hpp"

namespace moeshift {
namespace {

std::int64_t number_in(std::string_view digits, std::string_view text) {
  std::int64_t value = -1;
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, value);
  if (error == std::errc() && stop == end && value >= 0) return value;
  throw InputError("extra-layers",
                   fmt::format("'{}': expected a layer, as 61, 61=trivial or 61=copy:60", text));
}

/// What the extra layer holds; its load, too, where it is that of another layer.
LayerRow extra_row(const ExtraLayer& extra, const std::vector<LayerRow>& rows,
                   const Placement& placement, const std::string& name) {
  if (!extra.copy_of) return {extra.id, trivial_slots(placement)};
  const auto source = std::ranges::find(rows, *extra.copy_of, &LayerRow::id);
  if (source == rows.end()) {
    throw InputError("extra-layers",
                     fmt::format("{} has no layer {} to copy (it has {} to {})", name,
                                 *extra.copy_of, rows.front().id, rows.back().id));
  }
  return {extra.id, source->slots, source->load};
}

bool has(const std::vector<std::int64_t>& ids, std::int64_t id) {
  return std::ranges::find(ids, id) != ids.end();
}

/// Draft layers follow the hidden ones without a gap; nobody else lies beyond those.
void check_follows_hidden(std::int64_t id, const std::vector<LayerRow>& rows, std::size_t hidden,
                          const ExportOptions& options, const std::string& name) {
  for (auto before = static_cast<std::int64_t>(hidden); before < id; ++before) {
    if (std::ranges::find(rows, before, &LayerRow::id) != rows.end()) continue;
    if (std::ranges::find(options.extra_layers, before, &ExtraLayer::id) !=
        options.extra_layers.end())
      continue;
    throw InputError("extra-layers",
                     fmt::format("{} is of {} hidden layers, after which draft layer {} comes "
                                 "first, not {}: correct that, or add the `model` that has it",
                                 name, hidden, before, id));
  }
}

/// An extra layer is one of the model.
void check_extra(const ExtraLayer& extra, const std::vector<LayerRow>& rows,
                 const PlacementFile& file, const ExportOptions& options, const std::string& name) {
  if (!options.model) {
    if (file.num_hidden_layers) {
      check_follows_hidden(extra.id, rows, *file.num_hidden_layers, options, name);
    }
    return;
  }
  const KnownModel& model = *options.model;
  if (has(model.layers, extra.id) || has(model.drafts, extra.id)) return;
  const std::string drafts =
      model.drafts.empty() ? std::string("it names no draft layers (`mtp_layer_ids`)")
                           : fmt::format("its draft layers {}", fmt::join(model.drafts, ", "));
  throw InputError(
      "extra-layers",
      fmt::format("model {} has no layer {} with experts: its MoE layers are {} to "
                  "{}, {}",
                  model.name, extra.id, model.layers.front(), model.layers.back(), drafts));
}

}  // namespace

bool is_chosen(const ExportOptions& options, std::int64_t id) {
  return id >= options.layers_from.value_or(id) && id < options.layers_to.value_or(id + 1);
}

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

PlacementFile chosen_layers(PlacementFile file, const ExportOptions& options,
                            const std::string& name) {
  if (!options.layers_from && !options.layers_to) return file;
  const std::vector<LayerRow> all = rows_of(file);
  std::vector<LayerRow> kept;
  std::ranges::copy_if(all, std::back_inserter(kept),
                       [&](const LayerRow& row) { return is_chosen(options, row.id); });
  if (!kept.empty()) return of_rows(std::move(file), kept);
  throw InputError("layers",
                   fmt::format("{} has layers {} to {}", name, all.front().id, all.back().id));
}

PlacementFile with_extra_layers(PlacementFile file, const EngineFormat& format,
                                const ExportOptions& options, const std::string& name,
                                std::vector<std::string>& notes) {
  if (options.extra_layers.empty()) return file;
  std::vector<LayerRow> rows = rows_of(file);
  for (const ExtraLayer& extra : options.extra_layers) {
    check_extra(extra, rows, file, options, name);
    if (std::ranges::find(rows, extra.id, &LayerRow::id) != rows.end()) {
      throw InputError("extra-layers", fmt::format("{} has layer {} already", name, extra.id));
    }
    LayerRow row = extra_row(extra, rows, file.placement, name);
    rows.insert(std::ranges::upper_bound(rows, extra.id, {}, &LayerRow::id), std::move(row));
  }
  for (std::size_t place = 0; place < rows.size(); ++place) {
    const bool extra = std::ranges::find(options.extra_layers, rows[place].id, &ExtraLayer::id) !=
                       options.extra_layers.end();
    if (!extra || !format.rules.in_order || options.model) continue;
    notes.push_back(
        fmt::format("layer {} went in as row {} of {}: {} counts MoE layers in order, "
                    "and no `model` says that it is one",
                    rows[place].id, place, rows.size(), format.name));
  }
  return of_rows(std::move(file), rows);
}

void check_no_gap(const PlacementFile& file, const EngineFormat& format,
                  const ExportOptions& options, const std::string& name) {
  if (!format.rules.in_order || !options.model || file.layer_ids.empty()) return;
  std::vector<std::int64_t> all = options.model->layers;
  if (format.rules.drafts) {
    all.insert(all.end(), options.model->drafts.begin(), options.model->drafts.end());
  }
  std::vector<std::int64_t> missing;
  std::ranges::copy_if(all, std::back_inserter(missing), [&](std::int64_t id) {
    const bool between = file.layer_ids.front() < id && id < file.layer_ids.back();
    return between && !has(file.layer_ids, id);
  });
  if (missing.empty()) return;
  throw InputError(
      name, fmt::format("has no layer {} of model {}, and {} counts MoE layers in order: those "
                        "after it would be taken for others; add `extra-layers` {} (trivial, or "
                        "{}=copy:{}), or write one run of layers by `layers`",
                        fmt::join(missing, ", "), options.model->name, format.name,
                        fmt::join(missing, ","), missing.front(), file.layer_ids.front()));
}

PlacementFile without_drafts(PlacementFile file, const EngineFormat& format,
                             const std::string& name, std::vector<std::string>& notes) {
  if (format.rules.drafts || !file.num_hidden_layers) return file;
  std::vector<LayerRow> kept;
  std::vector<std::int64_t> dropped;
  for (LayerRow& row : rows_of(file)) {
    if (row.id >= static_cast<std::int64_t>(*file.num_hidden_layers)) {
      dropped.push_back(row.id);
    } else {
      kept.push_back(std::move(row));
    }
  }
  if (dropped.empty()) return file;
  if (kept.empty()) {
    throw InputError(name,
                     fmt::format("has draft layers alone ({}), beyond {} hidden layers, and "
                                 "{} does not take them from this file",
                                 fmt::join(dropped, ", "), *file.num_hidden_layers, format.name));
  }
  notes.push_back(
      fmt::format("layer {} is a draft layer, which {} does not take from this file: left out",
                  fmt::join(dropped, ", "), format.name));
  return of_rows(std::move(file), kept);
}

void note_missing_drafts(const PlacementFile& file, const EngineFormat& format,
                         const ExportOptions& options, std::vector<std::string>& notes) {
  if (!format.rules.drafts || !format.rules.own_numbers || !options.model) return;
  std::vector<std::int64_t> missing;
  for (const std::int64_t id : options.model->drafts) {
    if (!has(file.layer_ids, id) && is_chosen(options, id)) missing.push_back(id);
  }
  if (missing.empty()) return;
  std::vector<std::string> words;
  for (const std::int64_t id : missing) words.push_back(fmt::format("`extra-layers` {}", id));
  notes.push_back(fmt::format(
      "draft layer {} of {} is not in it: {} wants it where the model is served with MTP; add {}",
      fmt::join(missing, ", "), options.model->name, format.name, fmt::join(words, " ")));
}

PlacementFile with_every_layer(PlacementFile file, const EngineFormat& format,
                               const std::string& name, std::vector<std::string>& notes) {
  if (!format.rules.every_layer) return file;
  if (!file.num_hidden_layers) ask_for_numbers(file, format, name);
  const std::vector<LayerRow> all = rows_of(file);
  std::vector<LayerRow> padded;
  std::size_t next = 0;
  for (std::int64_t id = 0; id < static_cast<std::int64_t>(*file.num_hidden_layers); ++id) {
    const bool planned = next < all.size() && all[next].id == id;
    padded.push_back(planned ? all[next] : LayerRow{id, trivial_slots(file.placement)});
    next += planned ? 1U : 0U;
  }
  const std::size_t dense = padded.size() - all.size();
  if (dense > 0) {
    notes.push_back(fmt::format("{} layer{} not in the plan got the trivial map", dense,
                                dense == 1 ? "" : "s"));
  }
  return of_rows(std::move(file), padded);
}

}  // namespace moeshift
