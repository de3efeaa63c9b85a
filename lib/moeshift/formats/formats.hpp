// SPDX-License-Identifier: Apache-2.0
// The rows of the trace registry, one per file; only the registry and these files include it.
#pragma once

#include <span>
#include <string>

#include "moeshift/formats/trace_format.hpp"

namespace moeshift {

class ZipArchive;

[[nodiscard]] TraceFormat neutral_trace_format();
[[nodiscard]] TraceFormat vllm_trace_format();
[[nodiscard]] TraceFormat sglang_trace_format();
[[nodiscard]] TraceFormat npy_trace_format();
[[nodiscard]] TraceFormat adrs_trace_format();
[[nodiscard]] TraceFormat torch_trace_format();
[[nodiscard]] TraceFormat vllm_dump_trace_format();
[[nodiscard]] TraceFormat sglang_csv_trace_format();
[[nodiscard]] TraceFormat npz_trace_format();
[[nodiscard]] TraceFormat routes_trace_format();
[[nodiscard]] TraceFormat safetensors_trace_format();

/// A file of torch.save() that was opened to see what it is.
[[nodiscard]] std::unique_ptr<TraceReader> torch_trace(std::unique_ptr<ZipArchive> zip,
                                                       const std::string& name,
                                                       const TraceReadOptions& options);

/// open_trace for a stream that the reader owns.
[[nodiscard]] std::unique_ptr<TraceReader> open_source(std::unique_ptr<ByteSource> bytes,
                                                       std::string_view format,
                                                       const TraceReadOptions& options);
/// Whether these are routes as JSON Lines: a route, or the header before them.
[[nodiscard]] bool begins_routes(const FormatHead& head);
/// Whether this is a placement of any format.
[[nodiscard]] bool looks_like_map(const FormatHead& head);

template <class Reader>
std::unique_ptr<TraceReader> open_with(std::unique_ptr<ByteSource> bytes,
                                       const TraceReadOptions& options) {
  return std::make_unique<Reader>(std::move(bytes), options);
}

template <class Writer>
std::unique_ptr<TraceWriter> create_with(std::ostream& out, const TraceHeader& header) {
  return std::make_unique<Writer>(out, header);
}

/// Limits far above any model; a file beyond them is broken, and must not make us ask for its
/// memory.
inline constexpr std::size_t kMostLayers = 100'000;
inline constexpr std::size_t kMostExperts = 1'000'000;
inline constexpr std::size_t kMostLoadsPerStep = std::size_t{1} << 24U;
/// Whole numbers up to here are exact in a double.
inline constexpr double kLargestLoad = 0x1p53;

/// @throws InputError unless both are positive and within the limits.
void check_shape(std::size_t num_layers, std::size_t num_experts, const std::string& where);

/// @throws InputError unless `step` is [num_layers, num_experts] of whole numbers in [0, 2^53].
void check_writable(const TraceHeader& header, const TraceStep& step);

/// What a load should have been, and what to do about `value`.
[[nodiscard]] std::string expected_load(double value);

/// The number after the last "rank" or "_" of a file's name: "x/rank3.safetensors" and
/// "decode_3.csv" are of rank 3.
[[nodiscard]] std::optional<std::int64_t> rank_in_name(const std::string& path);

/// Appends "[a,b,...]" of whole numbers.
void append_row(std::string& text, std::span<const double> row);

/// Appends "[row,row,...]" of all layers.
void append_rows(std::string& text, const LoadMatrix& load);

}  // namespace moeshift
