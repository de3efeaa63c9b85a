// SPDX-License-Identifier: Apache-2.0
// TensorRT-LLM's statistics of experts (expert_statistic.py): a folder of meta_info.json and a
// safetensors file per rank, whose tensor "{iteration}_{layer}" [experts] holds the tokens of that
// rank alone. The load is the sum over ranks.
#include <bit>
#include <charconv>
#include <cstring>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/core/json_reader.hpp"
#include "moeshift/formats/array_rows.hpp"
#include "moeshift/formats/formats.hpp"
#include "moeshift/formats/sparse_counts.hpp"

namespace moeshift {
namespace {

constexpr std::size_t kLengthBytes = 8;
constexpr std::uint64_t kLongestHeader = 100'000'000;  // what the format's own reader allows

static_assert(std::endian::native == std::endian::little, "tensors are little endian");

std::uint64_t header_length(std::string_view bytes) {
  std::uint64_t length = 0;
  if (bytes.size() >= kLengthBytes) std::memcpy(&length, bytes.data(), kLengthBytes);
  return length;
}

bool looks_like_safetensors(std::string_view bytes) {
  const std::uint64_t length = header_length(bytes);
  return bytes.size() > kLengthBytes && length >= 2 && length <= kLongestHeader &&
         bytes[kLengthBytes] == '{';
}

/// "100_3": iteration 100, layer 3.
std::pair<std::int64_t, std::int64_t> name_parts(const std::string& name, const JsonReader& place) {
  std::int64_t iteration = -1;
  std::int64_t layer = -1;
  const char* end = name.data() + name.size();
  const auto [line, first] = std::from_chars(name.data(), end, iteration);
  if (first == std::errc() && line != end && *line == '_') {
    const auto [stop, second] = std::from_chars(line + 1, end, layer);
    if (second == std::errc() && stop == end && iteration >= 0 && layer >= 0) {
      return {iteration, layer};
    }
  }
  place.fail("expected tensors called {iteration}_{layer}, as TensorRT-LLM's statistics have them");
}

template <class T>
void numbers_as(std::string_view bytes, std::vector<double>& numbers) {
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    T value{};
    std::memcpy(&value, bytes.data() + i * sizeof value, sizeof value);
    numbers[i] = static_cast<double>(value);
  }
}

std::vector<double> numbers_of(const JsonReader& tensor, std::string_view data) {
  const std::string dtype = tensor.at("dtype").string();
  const std::size_t size = dtype == "I64" || dtype == "F64" ? 8 : 4;
  if (dtype != "I64" && dtype != "I32" && dtype != "F32" && dtype != "F64") {
    tensor.at("dtype").fail("expected I32, I64, F32 or F64");
  }
  const JsonReader shape = tensor.at("shape");
  if (shape.size() != 1) shape.fail("expected shape [experts]");
  const auto experts = static_cast<std::size_t>(
      shape.at(std::size_t{0}).whole(1, static_cast<std::int64_t>(kMostExperts)));
  const JsonReader offsets = tensor.at("data_offsets");
  if (offsets.size() != 2) offsets.fail("expected two offsets");
  const auto limit = static_cast<std::int64_t>(data.size());
  const auto first = static_cast<std::size_t>(offsets.at(std::size_t{0}).whole(0, limit));
  const auto last = static_cast<std::size_t>(offsets.at(std::size_t{1}).whole(0, limit));
  if (last < first || last - first != experts * size) {
    offsets.fail(fmt::format("expected {} bytes", experts * size));
  }
  std::vector<double> numbers(experts);
  const std::string_view bytes = data.substr(first, last - first);
  if (dtype == "I64") numbers_as<std::int64_t>(bytes, numbers);
  if (dtype == "I32") numbers_as<std::int32_t>(bytes, numbers);
  if (dtype == "F32") numbers_as<float>(bytes, numbers);
  if (dtype == "F64") numbers_as<double>(bytes, numbers);
  return numbers;
}

std::unique_ptr<TraceReader> open_safetensors(std::unique_ptr<ByteSource> bytes,
                                              const TraceReadOptions& options) {
  const std::string name = bytes->name();
  const std::string_view all = bytes->rest();
  const std::uint64_t length = header_length(all);
  if (length > kLongestHeader || all.size() - kLengthBytes < length) {
    throw InputError(name + "#/header", "the file is truncated");
  }
  const std::string where = name + "#/header";
  const auto document = parse_json(all.substr(kLengthBytes, length), where);
  const JsonReader header(document, where);
  const std::string_view data = all.substr(kLengthBytes + length);
  std::optional<SparseCounts> counts;
  for (const std::string& key : header.keys()) {
    if (key == "__metadata__") continue;
    const JsonReader tensor = header.at(key);
    const auto [iteration, layer] = name_parts(key, tensor);
    std::vector<double> loads = numbers_of(tensor, data);
    accept_loads(loads, options.scale, name + "#/" + key);
    if (!counts) counts.emplace(loads.size());
    if (loads.size() != counts->num_experts()) {
      tensor.at("shape").fail(fmt::format("expected {} experts", counts->num_experts()));
    }
    counts->row(iteration, layer) = std::move(loads);
  }
  if (!counts) throw InputError(where, "expected at least one tensor");
  TraceHeader trace;
  trace.source = "tensorrt-llm expert statistics";
  if (const std::size_t dropped = counts->drop_incomplete(); dropped > 0) {
    trace.notes.push_back(
        fmt::format("{} iterations lack a layer that others have: they are left out", dropped));
  }
  return std::move(*counts).reader(std::move(trace), name, rank_in_name(name), {});
}

}  // namespace

TraceFormat safetensors_trace_format() {
  return {"trtllm",
          "TensorRT-LLM expert statistics: safetensors per rank, {iteration}_{layer} [experts]",
          [](const FormatHead& head) { return looks_like_safetensors(head.bytes); },
          open_safetensors, nullptr};
}

}  // namespace moeshift
