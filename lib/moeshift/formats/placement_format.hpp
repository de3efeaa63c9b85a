// SPDX-License-Identifier: Apache-2.0
// Placements in the formats that inference engines read and write.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/trace_format.hpp"
#include "moeshift/model/load.hpp"
#include "moeshift/model/placement.hpp"

namespace moeshift {

/// What a plan was made for, as its command line called it; engines' formats say nothing of it.
struct PlannedWorld {
  std::optional<std::string> cluster;
  std::optional<std::string> model;
  std::optional<std::size_t> nodes;
};

/// Which layers of the model the rows of a map are of, where it does not number them.
enum class MapRows {
  kMoeLayers,     ///< those with experts, in order
  kUnsaid,        ///< those, or all of them: bare lists (vLLM's, rtp-llm's) and arrays
  kHiddenLayers,  ///< all of them, dense ones with a row that means nothing: SGLang's
};

/// A placement and what a format carries beside it.
struct PlacementFile {
  Placement placement;
  std::vector<std::int64_t> layer_ids;                ///< the model's own numbers; empty = not said
  std::optional<std::size_t> num_hidden_layers = {};  ///< dense ones included, where it is said
  PlannedWorld world = {};                            ///< of plan files
  LoadMatrix load = {};  ///< what was planned for, of plan files with empty slots; else no rows
  MapRows rows = MapRows::kMoeLayers;
};

/// What a format leaves out and the caller knows. A contradiction with the file is an error.
struct PlacementHints {
  std::optional<std::size_t> num_experts;
  std::optional<std::size_t> num_ranks;
  /// Of files with one list of experts for all layers.
  std::optional<std::size_t> num_layers = {};
  /// The model's own numbers of its layers with experts, for files with a list for all that they do
  /// not name.
  std::vector<std::int64_t> layer_ids = {};
  /// Taken where the format states no experts, and never compared with what a file says.
  std::optional<std::size_t> likely_experts = {};
  /// Taken where the file says nothing, and never compared with what it says.
  std::optional<std::size_t> likely_ranks = {};
  /// What would say the ranks, for errors: a caller's option.
  std::string_view ranks_option = "their number";
};

/// A row of the registry. Adding a format = one reader, one writer and one row.
struct PlacementFormat {
  std::string_view name;     ///< what export --to says
  std::string_view summary;  ///< one line
  bool (*detect)(const FormatHead& head);
  PlacementFile (*read)(std::unique_ptr<ByteSource> bytes, const PlacementHints& hints);
  void (*write)(std::ostream& out, const PlacementFile& file);  ///< null: only read
};

/// All formats, in the order in which they are asked whether a file is theirs.
[[nodiscard]] std::span<const PlacementFormat> placement_formats();

/// The format called `name`. @throws InputError with the closest known name.
[[nodiscard]] const PlacementFormat& placement_format(std::string_view name);

/// Reads a placement of any known format; -1 is a slot that holds nothing.
///
/// Where neither file nor hints state the number of experts it is the largest id + 1 (every expert
/// of a live placement has a slot). A number of ranks is never guessed.
/// @param format a registry name, or "auto".
/// @throws InputError
[[nodiscard]] PlacementFile read_placement(std::istream& in, const std::string& name,
                                           const PlacementHints& hints = {},
                                           std::string_view format = "auto");

/// The rows of the layers `ids`, in their order. O(rows * slots).
/// @throws InputError unless `file` names each of them. @param where for errors.
[[nodiscard]] PlacementFile with_layers(PlacementFile file, std::span<const std::int64_t> ids,
                                        const std::string& where);

/// `file` with its rows by ascending layer numbers, as engines count layers whatever order a trace
/// named them in; as it is where it names none. O(rows * slots).
[[nodiscard]] PlacementFile in_layer_order(PlacementFile file);

/// `file` with the rows of the layers `ids`, in their order; rows meet layers nowhere else.
///
/// A file that names its layers is put in that order where it names the same ones. One that names
/// none has its rows in ascending order of the layers, as every format counts them: where there are
/// as many, they are put in the order of `ids`; where there is a row for each of
/// `num_hidden_layers` (SGLang's maps), those of `ids` are taken out. Else `file` stays as it is.
/// O(rows * slots).
/// @param name what errors call the file.
/// @throws InputError where a row that is left out holds a placement: `ids` are another model's.
[[nodiscard]] PlacementFile of_moe_layers(PlacementFile file, std::span<const std::int64_t> ids,
                                          std::optional<std::size_t> num_hidden_layers,
                                          const std::string& name);

/// Two placements of the same layers, with their rows in the same order: that of the layers which
/// one of them names, OLD's where both do.
void order_alike(PlacementFile& old, PlacementFile& next);

}  // namespace moeshift
