// SPDX-License-Identifier: Apache-2.0
// The rows of the trace registry, one per file; only the registry and these files include it.
#pragma once

#include "moeshift/trace/trace_format.hpp"

namespace moeshift {

[[nodiscard]] TraceFormat neutral_trace_format();

/// @throws InputError unless `step` is [num_layers, num_experts] of whole numbers in [0, 2^53].
void check_writable(const TraceHeader& header, const TraceStep& step);

/// Appends "[a,b,...]" of whole numbers.
void append_row(std::string& text, std::span<const double> row);

}  // namespace moeshift
