// SPDX-License-Identifier: Apache-2.0
// How fast the machine serves: the parameters of a shipped configuration or of a file.
#pragma once

#include <optional>
#include <string>

#include "moeshift/cost/serving_parameters.hpp"

#include "apps/moeshift/inputs/planned_for.hpp"

namespace moeshift::cli {

/// Machine and model as they serve.
/// @param serving a name of configs/serving or a file; without it the cluster's name.
/// @throws InputError for an unknown name, with the closest known one.
[[nodiscard]] ServingParameters read_serving(Session& session, const PlannedFor& planned,
                                             const std::optional<std::string>& serving);

}  // namespace moeshift::cli
