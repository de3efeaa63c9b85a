// SPDX-License-Identifier: Apache-2.0
// JSON as Python's json module writes it: with Infinity and NaN, which JSON does not have.
#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace moeshift {

/// parse_json(), but Infinity, -Infinity and NaN are numbers too (Python, json.dump with its
/// default allow_nan). JsonReader refuses them where a number is read. O(size of the text).
/// @throws InputError as parse_json().
[[nodiscard]] nlohmann::ordered_json parse_python_json(std::string_view text,
                                                       const std::string& source);

}  // namespace moeshift
