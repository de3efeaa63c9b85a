// SPDX-License-Identifier: Apache-2.0
// A bare array as a trace, whatever it means. Internal to formats/.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "moeshift/formats/array_rows.hpp"
#include "moeshift/formats/trace_format.hpp"

namespace moeshift {

/// What lies beside an array in its archive.
struct ArrayCompany {
  std::vector<std::int64_t> layer_ids = {};  ///< of the layers of the array; empty = not said
  std::vector<std::string> notes = {};
};

/// Loads, loads of slots (folded by options.map) or routes, as meaning_of tells.
/// @throws InputError
[[nodiscard]] std::unique_ptr<TraceReader> array_trace(std::unique_ptr<ArrayRows> array,
                                                       const TraceReadOptions& options,
                                                       const ArrayCompany& company = {});

}  // namespace moeshift
