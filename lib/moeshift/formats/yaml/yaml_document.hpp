// SPDX-License-Identifier: Apache-2.0
// One YAML document, where yaml-cpp would take more than one or half of what is written.
#pragma once

#include <string>

#include <yaml-cpp/yaml.h>

namespace moeshift {

/// The one document of `text`. Python's safe_load, by which engines read these files, refuses
/// several documents, takes the last of repeated keys, and follows merge keys ("<<"); yaml-cpp
/// takes the first document, the first key, and no merge. All three are refused here, aliases
/// unfolded nowhere. O(size of the text).
/// @throws InputError naming file and line.
[[nodiscard]] YAML::Node yaml_document(const std::string& text, const std::string& name);

}  // namespace moeshift
