// SPDX-License-Identifier: Apache-2.0
#include "moeshift/model/shipped.hpp"

#include <fstream>
#include <iterator>

#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/core/json_reader.hpp"
#include "moeshift/core/suggest.hpp"
#include "moeshift/model/shipped_table.hpp"

namespace moeshift {
namespace {

/// A document and what errors call it.
struct Document {
  nlohmann::ordered_json json;
  std::string name;
};

bool is_path(const std::string& text) {
  return text.find('/') != std::string::npos || text.ends_with(".json");
}

Document read_file(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw InputError(path, "cannot be read");
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  return {parse_json(text, path), path};
}

Document document_of(std::string_view kind, const char* what, const std::string& name_or_path) {
  if (is_path(name_or_path)) return read_file(name_or_path);
  const auto text = shipped_text(kind, name_or_path);
  if (!text) refuse_name(what, name_or_path, shipped_names(kind));
  return {parse_json(*text, name_or_path), name_or_path};
}

}  // namespace

std::optional<std::string_view> shipped_text(std::string_view kind, std::string_view name) {
  for (const ShippedConfig& config : shipped_configs()) {
    if (config.kind == kind && config.name == name) return config.text;
  }
  return {};
}

std::vector<std::string_view> shipped_names(std::string_view kind) {
  std::vector<std::string_view> names;
  for (const ShippedConfig& config : shipped_configs()) {
    if (config.kind == kind) names.push_back(config.name);
  }
  return names;
}

Cluster load_cluster(const std::string& name_or_path) {
  const Document document = document_of("clusters", "cluster", name_or_path);
  return read_cluster(JsonReader(document.json, document.name));
}

MoeModel load_model(const std::string& name_or_path) {
  const Document document = document_of("models", "model", name_or_path);
  return read_moe_model(JsonReader(document.json, document.name));
}

}  // namespace moeshift
