// SPDX-License-Identifier: Apache-2.0
// simdjson with our manners: every fault becomes an InputError with place and expectation.
// Internal to formats/. Uses only what simdjson 1.0 and 3.x share.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>
#include <simdjson.h>

#include "moeshift/model/load.hpp"

namespace moeshift {

/// Where a value is, built only when something is wrong with it.
struct JsonPlace {
  std::string document;  ///< "file:line" or "file"
  std::string pointer;   ///< "/load/3"

  [[nodiscard]] JsonPlace at(std::string_view key) const;
  [[nodiscard]] JsonPlace at(std::size_t index) const;
  [[noreturn]] void fail(const std::string& expectation) const;
};

/// A reusable parser of single documents.
class JsonDocument {
 public:
  /// @param text followed by ByteSource::kPadding readable bytes; must outlive the element.
  /// @throws InputError "where: not valid JSON: ..." (also for truncated text).
  simdjson::dom::element parse(std::string_view text, const std::string& where);

 private:
  simdjson::dom::parser parser_;
};

/// @throws InputError unless `value` is an object without repeated keys.
simdjson::dom::object json_object(simdjson::dom::element value, const JsonPlace& place);
/// @throws InputError unless `value` is an array.
simdjson::dom::array json_array(simdjson::dom::element value, const JsonPlace& place);
/// A whole number in [lowest, 2^53]; 3.0 passes, 3.5, "3", 1e30 do not.
std::int64_t json_whole(simdjson::dom::element value, std::int64_t lowest, const JsonPlace& place);
std::string json_string(simdjson::dom::element value, const JsonPlace& place);
/// Reads an array of exactly row.size() whole numbers in [0, 2^53].
/// @param place of the row is `pointer`/`layer`; it is put together only when something is wrong.
/// @param scale what numbers are multiplied by before they are rounded; 0 = they must be whole.
void json_loads(simdjson::dom::element value, std::span<double> row, const JsonPlace& pointer,
                std::size_t layer, double scale = 0);
/// Reads the load of a step, [num_layers, num_experts]; reuses the memory of `load`.
void json_load_matrix(simdjson::dom::element value, const TraceHeader& header, LoadMatrix& load,
                      const JsonPlace& place, double scale = 0);

/// Appends "key":value to the members of an object text.
void append_json_member(std::string& members, simdjson::dom::key_value_pair field);
/// The same text as this program always writes it (so that a second round trip changes nothing).
/// @throws InputError when a nested object repeats a key.
std::string normal_json(const std::string& text, const std::string& where);
/// core's parse_json for a text that stands on the line `where` names.
nlohmann::ordered_json parse_json_line(std::string_view text, const std::string& where);

}  // namespace moeshift
