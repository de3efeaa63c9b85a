// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/trace_format.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/core/suggest.hpp"
#include "moeshift/formats/formats.hpp"

namespace moeshift {
namespace {

constexpr std::size_t kHeadBytes = std::size_t{1} << 20U;

/// The end of the JSON string that begins at `quote`, or npos when it is cut off.
std::size_t string_end(std::string_view text, std::size_t quote) {
  for (std::size_t i = quote + 1; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      return i;
    }
  }
  return std::string_view::npos;
}

/// Keys of the first object of a text that may be cut off anywhere; a glance, not a parser.
std::vector<std::string> top_level_keys(std::string_view text) {
  std::vector<std::string> keys;
  int depth = 0;
  bool key_comes = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '{' || c == '[') {
      ++depth;
      key_comes = depth == 1;
    } else if (c == '}' || c == ']') {
      if (--depth <= 0) break;
    } else if (c == ',') {
      key_comes = depth == 1;
    } else if (c == '"') {
      const std::size_t end = string_end(text, i);
      if (end == std::string_view::npos) break;
      if (depth == 1 && key_comes) keys.emplace_back(text.substr(i + 1, end - i - 1));
      key_comes = false;
      i = end;
    }
  }
  return keys;
}

std::string known_names() {
  std::string names;
  for (const TraceFormat& format : trace_formats()) {
    names += (names.empty() ? "" : ", ") + std::string(format.name);
  }
  return names;
}

}  // namespace

bool FormatHead::has(std::string_view key) const {
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

FormatHead head_of(ByteSource& bytes) {
  FormatHead head;
  head.bytes = bytes.peek(kHeadBytes);
  const std::size_t first = head.bytes.find_first_not_of(" \t\r\n");
  if (first != std::string_view::npos && head.bytes[first] == '{') {
    head.keys = top_level_keys(head.bytes.substr(first));
  }
  return head;
}

std::span<const TraceFormat> trace_formats() {
  static const std::array formats{
      neutral_trace_format(),     vllm_trace_format(),  vllm_dump_trace_format(),
      sglang_trace_format(),      npy_trace_format(),   npz_trace_format(),
      adrs_trace_format(),        torch_trace_format(), sglang_csv_trace_format(),
      safetensors_trace_format(), routes_trace_format()};
  return formats;
}

const TraceFormat& trace_format(std::string_view name) {
  return row_named(trace_formats(), "trace format", name);
}

namespace {

/// "[{": several recordings in one JSON document, say.
bool is_list_of_objects(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t list = text.find_first_not_of(kSpace);
  if (list == std::string_view::npos || text[list] != '[') return false;
  const std::size_t item = text.find_first_not_of(kSpace, list + 1);
  return item != std::string_view::npos && text[item] == '{';
}

std::unique_ptr<TraceReader> open_bytes(std::unique_ptr<ByteSource> bytes, std::string_view format,
                                        const TraceReadOptions& options) {
  if (format != "auto") return trace_format(format).open(std::move(bytes), options);
  const FormatHead head = head_of(*bytes);
  const std::string name = bytes->name();
  if (head.bytes.empty()) throw InputError(name + ":1", "the file is empty; expected a trace");
  if (head.has("format") && head.bytes.find("\"moeshift_routes/") < head.bytes.find('\n')) {
    throw InputError(name + ":1",
                     "this is a summary of routes, not a load trace: give it by "
                     "`routes` beside one, or the recording that it was made of");
  }
  for (const TraceFormat& candidate : trace_formats()) {
    if (candidate.detect(head)) return candidate.open(std::move(bytes), options);
  }
  if (is_list_of_objects(head.bytes)) {
    throw InputError(
        name + ":1",
        "a JSON list of objects is no trace: give each object as a file of its own, or "
        "one a line where their format has lines");
  }
  const std::size_t first = head.bytes.find_first_not_of(" \t\r\n[");
  const auto depth = std::ranges::count(head.bytes.substr(0, first), '[');
  if (depth >= 3) {  // a list of lists of layers: more than any map has
    throw InputError(
        name + ":1",
        "a bare list of steps: expected {\"logical_count\": [steps][layers][experts]}");
  }
  if (looks_like_map(head)) {
    throw InputError(name + ":1",
                     "this is a placement, not a load trace; give it where a placement is asked "
                     "for (`from`)");
  }
  throw InputError(name + ":1", "expected a load trace (" + known_names() + ")");
}

}  // namespace

std::unique_ptr<TraceReader> open_source(std::unique_ptr<ByteSource> bytes, std::string_view format,
                                         const TraceReadOptions& options) {
  const std::string name = bytes->name();
  auto reader = open_bytes(std::move(bytes), format, options);
  const std::size_t experts = reader->header().num_experts;
  if (options.num_experts && *options.num_experts != experts) {
    throw InputError(name, fmt::format("expected {} experts, but the file says {}",
                                       *options.num_experts, experts));
  }
  return reader;
}

std::unique_ptr<TraceReader> open_trace(std::istream& in, const std::string& name,
                                        std::string_view format, const TraceReadOptions& options) {
  return open_source(std::make_unique<ByteSource>(in, name), format, options);
}

std::string expected_load(double value) {
  const std::string expectation = "expected a whole number in [0, 2^53]";
  const bool scalable = value >= 0 && value <= kLargestLoad && std::floor(value) != value;
  if (!scalable) return expectation;
  return expectation +
         fmt::format(", got {}; `scale-loads` 1000 multiplies loads and rounds them", value);
}

std::optional<std::int64_t> rank_in_name(const std::string& path) {
  const std::string name = path.substr(path.find_last_of('/') + 1);
  std::size_t at = name.rfind("rank");
  if (at != std::string::npos) {
    at += 4;
    if (at < name.size() && (name[at] == '_' || name[at] == '-')) ++at;
  } else {
    at = name.rfind('_');
    if (at == std::string::npos) return std::nullopt;
    ++at;
  }
  std::int64_t rank = 0;
  const char* end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data() + at, end, rank);
  return error == std::errc() && rank >= 0 ? std::optional(rank) : std::nullopt;
}

void check_shape(std::size_t num_layers, std::size_t num_experts, const std::string& where) {
  const bool sane = num_layers >= 1 && num_layers <= kMostLayers && num_experts >= 1 &&
                    num_experts <= kMostExperts && num_layers * num_experts <= kMostLoadsPerStep;
  if (sane) return;
  throw InputError(where,
                   fmt::format("expected 1 .. 2^24 loads per step, got {} layers x {} experts",
                               num_layers, num_experts));
}

void check_writable(const TraceHeader& header, const TraceStep& step) {
  if (step.load.rows() != header.num_layers || step.load.columns() != header.num_experts) {
    throw InputError("", fmt::format("step {} has shape [{}, {}], expected [{}, {}]", step.step,
                                     step.load.rows(), step.load.columns(), header.num_layers,
                                     header.num_experts));
  }
  const auto loads = step.load.items();
  const bool whole = std::all_of(loads.begin(), loads.end(), [](double tokens) {
    return tokens >= 0 && tokens <= kLargestLoad && std::floor(tokens) == tokens;
  });
  if (!whole) {
    throw InputError("", fmt::format("step {}: expected whole loads in [0, 2^53]", step.step));
  }
}

void append_row(std::string& text, std::span<const double> row) {
  text += '[';
  for (std::size_t i = 0; i < row.size(); ++i) {
    std::array<char, 24> digits{};
    if (i > 0) text += ',';
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(),
                                   static_cast<std::int64_t>(row[i]));
    text.append(digits.data(), end.ptr);
  }
  text += ']';
}

void append_rows(std::string& text, const LoadMatrix& load) {
  text += '[';
  for (const LayerId layer : load.row_ids()) {
    if (layer.index() > 0) text += ',';
    append_row(text, load.row(layer));
  }
  text += ']';
}

}  // namespace moeshift
