// SPDX-License-Identifier: Apache-2.0
// What the loader of an engine would refuse or misread without a word. Internal to formats/engines.
#pragma once

#include <string>

#include "moeshift/formats/engines/engine_export.hpp"

namespace moeshift {

/// @param name what errors call the plan.
/// @throws InputError naming layer and next step where a slot, or a rank, holds what the engine
/// does
///         not take.
void check_loader_rules(const PlacementFile& file, const EngineFormat& format,
                        const std::string& name);

}  // namespace moeshift
