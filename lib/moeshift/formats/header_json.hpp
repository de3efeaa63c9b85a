// SPDX-License-Identifier: Apache-2.0
// A trace's header under the names of our own format.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "moeshift/model/load.hpp"

namespace moeshift {

/// {"model", "num_layers", "num_experts", ..., "source", "licence"}; what the header does not say
/// is left out, and so is what only other formats have.
[[nodiscard]] nlohmann::ordered_json header_json(const TraceHeader& header);

}  // namespace moeshift
