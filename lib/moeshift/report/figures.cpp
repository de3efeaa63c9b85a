// SPDX-License-Identifier: Apache-2.0
#include "moeshift/report/figures.hpp"

#include <algorithm>
#include <set>

#include <nlohmann/json.hpp>

#include "moeshift/report/metric_path.hpp"

namespace moeshift {
namespace {

using Json = nlohmann::ordered_json;

void collect_keys(const Json& value, std::vector<const Figure*>& seen) {
  for (const auto& [key, item] : value.items()) {
    if (item.is_structured()) collect_keys(item, seen);
    const Figure* figure = value.is_object() ? find_figure(key) : nullptr;
    if (figure == nullptr || figure->better == Better::kNeither) continue;
    if (std::find(seen.begin(), seen.end(), figure) == seen.end()) seen.push_back(figure);
  }
}

bool holds_numbers(const Json& value) {
  if (!value.is_array()) return value.is_number();
  return std::any_of(value.begin(), value.end(), holds_numbers);
}

void collect_undeclared(const Json& value, const std::string& path, std::set<std::string>& found) {
  for (const auto& [key, item] : value.items()) {
    if (!value.is_object()) {
      collect_undeclared(item, path, found);
      continue;
    }
    const std::string below = path.empty() ? key : path + "." + key;
    if (holds_numbers(item) && find_figure(key) == nullptr) found.insert(below);
    if (item.is_structured()) collect_undeclared(item, below, found);
  }
}

}  // namespace

const Figure* find_figure(std::string_view key) {
  const auto* found = std::find_if(detail::kFigures.begin(), detail::kFigures.end(),
                                   [&](const Figure& one) { return one.key == key; });
  return found == detail::kFigures.end() ? nullptr : found;
}

const Figure* figure_at(std::string_view path) {
  const MetricPath parts = split_path(path);
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    const Figure* figure = find_figure(*part);
    if (figure != nullptr && !figure->part) return figure;
  }
  return nullptr;
}

Json declarations_of(const Json& result) {
  std::vector<const Figure*> seen;
  if (result.is_structured()) collect_keys(result, seen);
  Json json = Json::object();
  for (const Figure* figure : seen) {
    json[std::string(figure->key)] = {{"unit", name_of(figure->unit)},
                                      {"better", name_of(figure->better)}};
  }
  return json;
}

std::vector<std::string> undeclared_in(const Json& result) {
  std::set<std::string> found;
  if (result.is_structured()) collect_undeclared(result, "", found);
  return {found.begin(), found.end()};
}

}  // namespace moeshift
