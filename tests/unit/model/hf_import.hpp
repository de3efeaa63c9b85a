// SPDX-License-Identifier: Apache-2.0
// What `models import` makes of a config.json, or says of it.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/core/json_reader.hpp"
#include "moeshift/model/hf_config.hpp"

namespace moeshift::test {

inline HfImport import(const nlohmann::ordered_json& config, bool with_mtp = false) {
  return import_hf_config({config, "config.json"}, {"m", "s", with_mtp});
}

inline std::string fault_of(const nlohmann::ordered_json& config) {
  try {
    (void)import(config);
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace moeshift::test
