// SPDX-License-Identifier: Apache-2.0
#include "moeshift/formats/json/json_document.hpp"

#include <algorithm>
#include <cmath>
#include <sstream>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/core/json_reader.hpp"
#include "moeshift/formats/formats.hpp"

namespace moeshift {
namespace {

constexpr std::int64_t kLargestWhole = std::int64_t{1} << 53U;

/// simdjson says what is wrong but not where; the slower parser knows both.
[[noreturn]] void fail_syntax(std::string_view text, const std::string& where,
                              simdjson::error_code code) {
  static_cast<void>(parse_json_line(text, where));
  throw InputError(where, fmt::format("not valid JSON: {}", simdjson::error_message(code)));
}

/// The whole number in `value`, or -1.
std::int64_t whole_or_negative(simdjson::dom::element value) {
  std::int64_t whole = 0;
  if (value.get(whole) == simdjson::SUCCESS) return whole;
  double number = 0;
  if (value.get(number) != simdjson::SUCCESS) return -1;
  const bool fits = number >= 0 && number <= 0x1p53 && std::floor(number) == number;
  return fits ? static_cast<std::int64_t>(number) : -1;
}

double number_or_nan(simdjson::dom::element value) {
  double number = 0;
  return value.get(number) == simdjson::SUCCESS ? number : std::nan("");
}

double scaled_load(simdjson::dom::element item, double scale, const JsonPlace& row,
                   std::size_t index) {
  const double load = std::round(number_or_nan(item) * scale);
  if (!(load >= 0 && load <= kLargestLoad)) row.at(index).fail(expected_load(load));
  return load;
}

}  // namespace

JsonPlace JsonPlace::at(std::string_view key) const {
  return {document, pointer + "/" + pointer_token(key)};
}

JsonPlace JsonPlace::at(std::size_t index) const {
  return {document, fmt::format("{}/{}", pointer, index)};
}

void JsonPlace::fail(const std::string& expectation) const {
  throw InputError(document + "#" + pointer, expectation);
}

simdjson::dom::element JsonDocument::parse(std::string_view text, const std::string& where) {
  simdjson::dom::element root;
  const auto code = parser_.parse(text.data(), text.size(), false).get(root);
  if (code != simdjson::SUCCESS) fail_syntax(text, where, code);
  return root;
}

simdjson::dom::object json_object(simdjson::dom::element value, const JsonPlace& place) {
  simdjson::dom::object object;
  if (value.get(object) != simdjson::SUCCESS) place.fail("expected an object");
  std::vector<std::string_view> keys;
  for (const auto field : object) keys.push_back(field.key);
  std::sort(keys.begin(), keys.end());
  const auto twice = std::adjacent_find(keys.begin(), keys.end());
  if (twice != keys.end()) {
    place.fail(fmt::format("key \"{}\" appears twice in one object", *twice));
  }
  return object;
}

simdjson::dom::array json_array(simdjson::dom::element value, const JsonPlace& place) {
  simdjson::dom::array array;
  if (value.get(array) != simdjson::SUCCESS) place.fail("expected an array");
  return array;
}

std::int64_t json_whole(simdjson::dom::element value, std::int64_t lowest, const JsonPlace& place) {
  std::int64_t whole = 0;
  const bool signed_one = value.get(whole) == simdjson::SUCCESS;
  if (!signed_one) whole = whole_or_negative(value);
  if ((!signed_one && whole < 0) || whole < lowest || whole > kLargestWhole) {
    place.fail(fmt::format("expected a whole number in [{}, 2^53]", lowest));
  }
  return whole;
}

std::string json_string(simdjson::dom::element value, const JsonPlace& place) {
  std::string_view text;
  if (value.get(text) != simdjson::SUCCESS) place.fail("expected a string");
  return std::string(text);
}

void json_loads(simdjson::dom::element value, std::span<double> row, const JsonPlace& pointer,
                std::size_t layer, double scale) {
  const auto place = [&] { return pointer.at(layer); };
  simdjson::dom::array array;
  if (value.get(array) != simdjson::SUCCESS) {
    place().fail(fmt::format("expected an array of {} loads", row.size()));
  }
  std::size_t filled = 0;
  for (const simdjson::dom::element item : array) {
    if (filled == row.size()) place().fail(fmt::format("expected {} loads, got more", row.size()));
    if (scale != 0) {
      row[filled] = scaled_load(item, scale, place(), filled);
      ++filled;
      continue;
    }
    const std::int64_t whole = whole_or_negative(item);
    if (whole < 0 || whole > kLargestWhole) {
      place().at(filled).fail(expected_load(number_or_nan(item)));
    }
    row[filled++] = static_cast<double>(whole);
  }
  if (filled != row.size()) {
    place().fail(fmt::format("expected {} loads, got {}", row.size(), filled));
  }
}

void json_load_matrix(simdjson::dom::element value, const TraceHeader& header, LoadMatrix& load,
                      const JsonPlace& place, double scale) {
  const std::size_t layers = header.num_layers;
  if (load.rows() != layers || load.columns() != header.num_experts) {
    load = LoadMatrix(layers, header.num_experts);
  }
  std::size_t layer = 0;
  for (const simdjson::dom::element row : json_array(value, place)) {
    if (layer == layers) place.fail(fmt::format("expected {} layers, got more", layers));
    json_loads(row, load.row(LayerId(layer)), place, layer, scale);
    ++layer;
  }
  if (layer != layers) place.fail(fmt::format("expected {} layers, got {}", layers, layer));
}

void append_json_member(std::string& members, simdjson::dom::key_value_pair field) {
  if (!members.empty()) members += ',';
  std::ostringstream value;
  value << field.value;
  members += nlohmann::ordered_json(std::string(field.key)).dump() + ":" + value.str();
}

std::string normal_json(const std::string& text, const std::string& where) {
  return text == "{}" ? text : parse_json_line(text, where).dump();
}

nlohmann::ordered_json parse_json_line(std::string_view text, const std::string& where) {
  try {
    return parse_json(text, "");
  } catch (const InputError& error) {
    const std::string message = error.what();
    throw InputError(where, message.substr(error.where().size() + 2));
  }
}

}  // namespace moeshift
