// SPDX-License-Identifier: Apache-2.0
// Which layers of the model the rows of a placement are: what it says, its model and the options,
// which must not contradict each other. Internal to formats/engines.
#pragma once

#include <string>
#include <vector>

#include "moeshift/formats/engines/engine_export.hpp"

namespace moeshift {

/// Maps that may have rows of dense layers go on with the rows of layers with experts; those of
/// SGLang that keep all get the numbers of their places.
/// @throws InputError where rows look like those of dense layers, and nothing says which they are.
[[nodiscard]] PlacementFile of_layers_with_experts(PlacementFile file, const EngineFormat& format,
                                                   const ExportOptions& options,
                                                   const std::string& name,
                                                   std::vector<std::string>& notes);

/// Gives the layers their numbers, as the plan or the options say them, in ascending order.
/// @throws InputError where two of them say something else, where there are more layers than
///         hidden layers and nothing says that those are draft layers, or where `format` needs
///         numbers that nobody says.
[[nodiscard]] PlacementFile numbered(PlacementFile file, const EngineFormat& format,
                                     const ExportOptions& options, const std::string& name);

/// @throws InputError that asks for the numbers of the layers, or how many there are.
[[noreturn]] void ask_for_numbers(const PlacementFile& file, const EngineFormat& format,
                                  const std::string& name);

}  // namespace moeshift
