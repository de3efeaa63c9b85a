// SPDX-License-Identifier: Apache-2.0
// Which layers go into an engine's file: those that are asked for, draft layers, dense ones.
// Internal to formats/engines.
#pragma once

#include <string>
#include <vector>

#include "moeshift/formats/engines/engine_export.hpp"

namespace moeshift {

/// Whether `layers_from` and `layers_to` leave layer `id` in.
[[nodiscard]] bool is_chosen(const ExportOptions& options, std::int64_t id);

/// Those from `layers_from` to `layers_to` - 1. @throws InputError where there is none.
[[nodiscard]] PlacementFile chosen_layers(PlacementFile file, const ExportOptions& options,
                                          const std::string& name);

/// The extra layers among the others. A copy has the load of its source, so that both are filled
/// alike. Without a model it is said at which place one went in where `format` counts layers.
/// @throws InputError where one is there already, none is there to copy, or it is neither a layer
///         with experts nor a draft layer of the model; without a model, where it lies beyond the
///         hidden layers and the draft layers before it are not there.
[[nodiscard]] PlacementFile with_extra_layers(PlacementFile file, const EngineFormat& format,
                                              const ExportOptions& options, const std::string& name,
                                              std::vector<std::string>& notes);

/// Formats that count layers in order get a run of the model's, where that is known: whatever came
/// after a gap would be taken for the layer before it. @throws InputError
void check_no_gap(const PlacementFile& file, const EngineFormat& format,
                  const ExportOptions& options, const std::string& name);

/// Draft layers, which lie beyond the hidden ones, only for engines that take them from the same
/// file. @throws InputError where no other layer is left.
[[nodiscard]] PlacementFile without_drafts(PlacementFile file, const EngineFormat& format,
                                           const std::string& name,
                                           std::vector<std::string>& notes);

/// Says which draft layers of the model an engine that wants them will miss.
void note_missing_drafts(const PlacementFile& file, const EngineFormat& format,
                         const ExportOptions& options, std::vector<std::string>& notes);

/// The trivial map for every layer of the model that is not in the plan, where the engine's file
/// has a row for each.
[[nodiscard]] PlacementFile with_every_layer(PlacementFile file, const EngineFormat& format,
                                             const std::string& name,
                                             std::vector<std::string>& notes);

}  // namespace moeshift
