// SPDX-License-Identifier: Apache-2.0
// A placement on its way to an engine: what the engine's loader takes, and how a plan is brought
// to it.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "moeshift/formats/placement_format.hpp"

namespace moeshift {

/// What the loader of an engine takes. It is held to before a byte is written, since loaders take
/// some of it for something else without a word.
struct EngineRules {
  bool empty_slots = false;  ///< a slot may hold nothing
  bool repeats = true;       ///< a rank may hold an expert twice
  bool own_numbers = false;  ///< layers are found by the model's own numbers, so they must be known
  bool every_layer = false;  ///< there is a row for every hidden layer, dense ones included
  bool drafts = false;       ///< draft (MTP) layers are in the same file
  bool in_order = false;     ///< a layer is its place: MoE layers are counted, not numbered
};

/// A row of the registry of what `export` writes.
struct EngineFormat {
  std::string_view name;
  std::string_view summary;  ///< one line
  EngineRules rules;
  std::string_view unreleased;  ///< the pull requests that read it, where no release does; else ""
  void (*write)(std::ostream& out, const PlacementFile& file, std::optional<std::size_t> rank);
  bool per_rank = false;  ///< a file holds what one rank reads
  /// What the engine takes and serves badly, a sentence; else "". Null: nothing is known.
  std::string (*caution)(const PlacementFile& file) = nullptr;
};

/// All of them, in the order of help.
[[nodiscard]] std::span<const EngineFormat> engine_formats();
/// The one called `name`. @throws InputError with the closest known name.
[[nodiscard]] const EngineFormat& engine_format(std::string_view name);

/// A layer that the plan does not have (a draft layer): the trivial map, or that of another layer.
struct ExtraLayer {
  std::int64_t id = 0;
  std::optional<std::int64_t> copy_of;
};
/// "61", "61=trivial", "61=copy:60". @throws InputError
[[nodiscard]] ExtraLayer parse_extra_layer(std::string_view text);

/// The layers of the model that a plan is of, by their numbers.
struct KnownModel {
  std::string name;
  std::vector<std::int64_t> layers;  ///< with experts, ascending
  std::vector<std::int64_t> drafts;  ///< MTP layers, ascending
};

/// What the user asks for, and knows where the plan does not say it.
struct ExportOptions {
  std::optional<std::size_t> num_hidden_layers;
  std::optional<std::int64_t> first_layer;  ///< number of the plan's first layer
  std::optional<std::int64_t> layers_from;  ///< only layers from .. to-1, by the model's numbers
  std::optional<std::int64_t> layers_to;
  std::vector<ExtraLayer> extra_layers;
  std::optional<KnownModel> model;
  /// Who says how many hidden layers the file is of, and the numbers of its layers, where that is
  /// not the file itself: errors name them.
  std::string hidden_layers_by;
  std::string numbers_by;
  bool fill = false;      ///< empty slots get a replica
  bool distinct = false;  ///< a second replica on a rank gives way to an expert the rank lacks
};

/// A placement that the engine takes, and what had to be done or assumed, a sentence each.
struct ExportReady {
  PlacementFile file;
  std::vector<std::string> notes;
};

/// Brings `file` to what `format` takes: chosen layers, extra layers, repairs, rows of dense
/// layers, and checks the rest.
///
/// A filled slot gets the expert that the rank lacks and whose replicas carry most: load over
/// replicas where the plan says the load, else replicas the planner gave it over those it has by
/// now; ties go to the lowest expert. What the plan holds stays where it is.
/// Layers beyond the hidden ones are taken for draft layers only where the model names them, or the
/// file says both its layers' numbers and how many are hidden.
/// Of a map that may have rows of dense layers (SGLang's, bare lists, arrays) they must be known
/// before it goes to an engine that takes none.
/// Where the model is known, extra layers are its own, and a format that counts layers in order
/// gets a run of them without a gap.
/// @param name what errors call the plan.
/// @throws InputError naming layer, rank and the next step when a rule is broken and the options do
///         not mend it, or when the numbers of the layers are needed and nothing says them.
[[nodiscard]] ExportReady ready_for(const EngineFormat& format, PlacementFile file,
                                    const ExportOptions& options, const std::string& name);

}  // namespace moeshift
