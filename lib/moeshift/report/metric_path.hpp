// SPDX-License-Identifier: Apache-2.0
// The values of a result under dotted paths.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace moeshift {

using MetricPath = std::vector<std::string>;

/// One value of a result: a number, a text, true or false, or a plain list taken as one value.
struct MetricLeaf {
  MetricPath path;
  const nlohmann::ordered_json* value = nullptr;  ///< lives in the document
};

/// "a.b.c" in parts.
[[nodiscard]] MetricPath split_path(std::string_view dotted);
[[nodiscard]] std::string join_path(const MetricPath& path);

/// Every value of `result` in document order. Lists of objects are walked, their items called by
/// "policy", "name" or "layer" where that tells them apart, else by number.
[[nodiscard]] std::vector<MetricLeaf> leaves_of(const nlohmann::ordered_json& result);

/// Of the leaves whose path ends with `pattern` (`*` = any part) the shallowest ones.
[[nodiscard]] std::vector<MetricLeaf> leaves_named(const std::vector<MetricLeaf>& leaves,
                                                   const MetricPath& pattern);

}  // namespace moeshift
