// SPDX-License-Identifier: Apache-2.0
// The files of configs/ as the build has put them into the library (cmake/MoeshiftShipped.cmake).
#pragma once

#include <span>
#include <string_view>

namespace moeshift {

struct ShippedConfig {
  std::string_view kind;  ///< its folder
  std::string_view name;  ///< its file, without ".json"
  std::string_view text;
};

/// By kind, then name, ascending.
[[nodiscard]] std::span<const ShippedConfig> shipped_configs();

}  // namespace moeshift
