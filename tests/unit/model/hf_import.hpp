// SPDX-License-Identifier: Apache-2.0
// What `models import` makes of a config.json, or says of it.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/core/json_reader.hpp"
#include "moeshift/model/checkpoint/hf_config.hpp"

namespace moeshift::test {

inline HfImport import(const nlohmann::ordered_json& config, bool with_mtp = false) {
  return import_hf_config({config, "config.json"}, {"m", "s", with_mtp});
}

/// With files beside it, by their names.
inline HfImport import_beside(const nlohmann::ordered_json& config,
                              const nlohmann::ordered_json& files, bool with_mtp = false) {
  HfImportOptions options{.name = "m", .source = "s", .with_mtp = with_mtp};
  for (const auto& [name, json] : files.items()) options.beside.push_back({name, {json, name}});
  return import_hf_config({config, "config.json"}, options);
}

inline std::string fault_of(const nlohmann::ordered_json& config,
                            const nlohmann::ordered_json& files = nlohmann::ordered_json::object(),
                            bool with_mtp = false) {
  try {
    (void)import_beside(config, files, with_mtp);
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace moeshift::test
