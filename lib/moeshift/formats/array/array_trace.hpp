// SPDX-License-Identifier: Apache-2.0
// A bare array as a trace, whatever it means. Internal to formats/.
#pragma once

#include <memory>
#include <string_view>

#include "moeshift/formats/array/array_company.hpp"
#include "moeshift/formats/array_rows.hpp"
#include "moeshift/formats/trace_format.hpp"

namespace moeshift {

/// Loads, loads of slots (folded by options.map, else by the map beside them) or routes, as
/// meaning_of tells, or as the map beside them does: loads that have more columns than it has
/// experts are of slots.
/// @param name of the array in its archive; "" where it has none.
/// @throws InputError where map and loads do not fit, or tell of two meanings.
[[nodiscard]] std::unique_ptr<TraceReader> array_trace(std::unique_ptr<ArrayRows> array,
                                                       const TraceReadOptions& options,
                                                       const ArrayCompany& company = {},
                                                       std::string_view name = "");

}  // namespace moeshift
