// SPDX-License-Identifier: Apache-2.0
// The rows of the trace registry, one per file; only the registry and these files include it.
#pragma once

#include "moeshift/formats/trace_format.hpp"

namespace moeshift {

[[nodiscard]] TraceFormat neutral_trace_format();
[[nodiscard]] TraceFormat vllm_trace_format();
[[nodiscard]] TraceFormat sglang_trace_format();
[[nodiscard]] TraceFormat npy_trace_format();
[[nodiscard]] TraceFormat adrs_trace_format();
[[nodiscard]] TraceFormat torch_trace_format();

/// Limits far above any model; a file beyond them is broken, and must not make us ask for its
/// memory.
inline constexpr std::size_t kMostLayers = 100'000;
inline constexpr std::size_t kMostExperts = 1'000'000;
inline constexpr std::size_t kMostLoadsPerStep = std::size_t{1} << 24U;

/// @throws InputError unless both are positive and within the limits.
void check_shape(std::size_t num_layers, std::size_t num_experts, const std::string& where);

/// @throws InputError unless `step` is [num_layers, num_experts] of whole numbers in [0, 2^53].
void check_writable(const TraceHeader& header, const TraceStep& step);

/// Appends "[a,b,...]" of whole numbers.
void append_row(std::string& text, std::span<const double> row);

/// Appends "[row,row,...]" of all layers.
void append_rows(std::string& text, const LoadMatrix& load);

}  // namespace moeshift
