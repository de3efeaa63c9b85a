// SPDX-License-Identifier: Apache-2.0
// SGLang's first recorder (sgl-project/sglang#4435): a CSV per rank and dump, "layer_id,expert_id,
// count", absolute layers, logical experts, pairs without tokens left out; the load is the sum over
// ranks.
#include <array>
#include <charconv>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/formats/array_rows.hpp"
#include "moeshift/formats/formats.hpp"
#include "moeshift/formats/routes_reader.hpp"
#include "moeshift/formats/sparse_counts.hpp"

namespace moeshift {
namespace {

constexpr std::string_view kHeader = "layer_id,expert_id,count";

std::string_view trimmed(std::string_view line) {
  while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
  return line;
}

/// Three numbers of a line.
std::array<double, 3> cells_of(std::string_view line, const ByteSource& bytes) {
  std::array<double, 3> cells{};
  const char* at = line.data();
  const char* end = at + line.size();
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const auto [stop, error] = std::from_chars(at, end, cells[i]);
    const bool last = i + 1 == cells.size();
    if (error != std::errc() || (last ? stop != end : stop == end || *stop != ',')) {
      throw InputError(bytes.where(), "expected layer_id,expert_id,count");
    }
    at = stop + 1;
  }
  return cells;
}

std::int64_t id_of(double cell, double below, std::string_view what, const ByteSource& bytes) {
  if (cell >= 0 && cell < below && cell == static_cast<double>(static_cast<std::int64_t>(cell))) {
    return static_cast<std::int64_t>(cell);
  }
  throw InputError(bytes.where(), fmt::format("expected {} in 0 .. {}", what, below - 1));
}

std::unique_ptr<TraceReader> open_csv(std::unique_ptr<ByteSource> bytes,
                                      const TraceReadOptions& options) {
  const std::size_t experts = demanded_experts(options, bytes->name());
  std::string_view line;
  static_cast<void>(bytes->filled_line(line));
  SparseCounts counts(experts);
  std::set<std::pair<std::int64_t, std::int64_t>> seen;
  while (bytes->filled_line(line)) {
    std::array<double, 3> cells = cells_of(trimmed(line), *bytes);
    const std::int64_t layer = id_of(cells[0], static_cast<double>(kMostLayers), "a layer", *bytes);
    const std::int64_t expert = id_of(cells[1], static_cast<double>(experts), "an expert", *bytes);
    if (!seen.emplace(layer, expert).second) {
      throw InputError(bytes->where(), "this layer and expert were counted before");
    }
    accept_loads(std::span(cells).subspan(2), options.scale, bytes->where());
    counts.row(0, layer)[static_cast<std::size_t>(expert)] = cells[2];
  }
  TraceHeader header;
  header.source = "sglang expert distribution csv";
  return std::move(counts).reader(std::move(header), bytes->name(), rank_in_name(bytes->name()),
                                  {.group = {}, .omits_zeros = true});
}

}  // namespace

TraceFormat sglang_csv_trace_format() {
  return {"sglang-csv", "CSV of SGLang's first recorder: layer_id,expert_id,count, a file per rank",
          [](const FormatHead& head) { return head.bytes.starts_with(kHeader); }, open_csv,
          nullptr};
}

}  // namespace moeshift
