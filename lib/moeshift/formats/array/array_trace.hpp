// SPDX-License-Identifier: Apache-2.0
// A bare array as a trace, whatever it means. Internal to formats/.
#pragma once

#include <memory>

#include "moeshift/formats/array_rows.hpp"
#include "moeshift/formats/trace_format.hpp"

namespace moeshift {

/// Loads, loads of slots (folded by options.map) or routes, as meaning_of tells.
/// @throws InputError
[[nodiscard]] std::unique_ptr<TraceReader> array_trace(std::unique_ptr<ArrayRows> array,
                                                       const TraceReadOptions& options);

}  // namespace moeshift
