// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/inputs/by_link.hpp"

#include <string>

#include <nlohmann/json.hpp>

namespace moeshift::cli {

nlohmann::ordered_json bytes_by_link_json(const std::array<Bytes, kLinkClasses>& bytes,
                                          LinkClass first) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (std::size_t link = static_cast<std::size_t>(first); link < kLinkClasses; ++link) {
    json[std::string(name_of(static_cast<LinkClass>(link)))] = bytes[link].count();
  }
  return json;
}

}  // namespace moeshift::cli
