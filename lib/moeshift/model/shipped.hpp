// SPDX-License-Identifier: Apache-2.0
// Models, machines and serving parameters that ship with the library, by name: they are part of it,
// so a program that links it needs no files beside it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "moeshift/model/cluster.hpp"
#include "moeshift/model/moe_model.hpp"

namespace moeshift {

/// The text of configs/<kind>/<name>.json; nothing for a name that is not shipped.
/// @param kind "models", "clusters" or "serving".
[[nodiscard]] std::optional<std::string_view> shipped_text(std::string_view kind,
                                                           std::string_view name);
/// The names of a kind, ascending.
[[nodiscard]] std::vector<std::string_view> shipped_names(std::string_view kind);

/// The shipped cluster of that name ("hgx_h200"), or the one in a file: whatever has a '/' in it or
/// ends in ".json".
/// @throws InputError for an unknown name, with the closest known one, and for a bad file.
[[nodiscard]] Cluster load_cluster(const std::string& name_or_path);
/// A model likewise ("deepseek_v3_fp8").
[[nodiscard]] MoeModel load_model(const std::string& name_or_path);

}  // namespace moeshift
