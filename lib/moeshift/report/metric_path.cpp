// SPDX-License-Identifier: Apache-2.0
#include "moeshift/report/metric_path.hpp"

#include <algorithm>
#include <array>
#include <set>

#include <nlohmann/json.hpp>

namespace moeshift {
namespace {

using Json = nlohmann::ordered_json;

bool is_list_of_objects(const Json& value) {
  return value.is_array() && !value.empty() &&
         std::all_of(value.begin(), value.end(), [](const Json& item) { return item.is_object(); });
}

/// What the items of a list of objects are called.
std::vector<std::string> names_of_items(const Json& list) {
  static constexpr std::array<const char*, 3> kNaming = {"policy", "name", "layer"};
  std::vector<std::string> names;
  for (const char* key : kNaming) {
    names.clear();
    for (const Json& item : list) {
      if (!item.contains(key) || item[key].is_structured()) break;
      names.push_back(item[key].is_string() ? item[key].get<std::string>() : item[key].dump());
    }
    const std::set<std::string> distinct(names.begin(), names.end());
    if (distinct.size() == list.size()) return names;
  }
  names.clear();
  for (std::size_t i = 0; i < list.size(); ++i) names.push_back(std::to_string(i));
  return names;
}

void collect(const Json& value, MetricPath& path, std::vector<MetricLeaf>& leaves) {
  const auto descend = [&](const std::string& part, const Json& item) {
    path.push_back(part);
    collect(item, path, leaves);
    path.pop_back();
  };
  if (value.is_object()) {
    for (const auto& [key, item] : value.items()) descend(key, item);
  } else if (is_list_of_objects(value)) {
    const std::vector<std::string> names = names_of_items(value);
    for (std::size_t i = 0; i < value.size(); ++i) descend(names[i], value[i]);
  } else {
    leaves.push_back({path, &value});
  }
}

bool ends_with(const MetricPath& path, const MetricPath& pattern) {
  return path.size() >= pattern.size() &&
         std::equal(
             pattern.rbegin(), pattern.rend(), path.rbegin(),
             [](const auto& wanted, const auto& part) { return wanted == "*" || wanted == part; });
}

}  // namespace

MetricPath split_path(std::string_view dotted) {
  MetricPath path;
  while (true) {
    const std::size_t dot = dotted.find('.');
    path.emplace_back(dotted.substr(0, dot));
    if (dot == std::string_view::npos) return path;
    dotted.remove_prefix(dot + 1);
  }
}

std::string join_path(const MetricPath& path) {
  std::string dotted;
  for (const std::string& part : path) dotted += (dotted.empty() ? "" : ".") + part;
  return dotted;
}

std::vector<MetricLeaf> leaves_of(const Json& result) {
  std::vector<MetricLeaf> leaves;
  MetricPath path;
  collect(result, path, leaves);
  return leaves;
}

std::vector<MetricLeaf> leaves_named(const std::vector<MetricLeaf>& leaves,
                                     const MetricPath& pattern) {
  std::vector<MetricLeaf> named;
  for (const MetricLeaf& leaf : leaves) {
    if (!ends_with(leaf.path, pattern)) continue;
    if (!named.empty() && leaf.path.size() > named.front().path.size()) continue;
    if (!named.empty() && leaf.path.size() < named.front().path.size()) named.clear();
    named.push_back(leaf);
  }
  return named;
}

}  // namespace moeshift
