// SPDX-License-Identifier: Apache-2.0
// What config.json's keys say of the layers. Internal to model/.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "moeshift/model/checkpoint/hf_parts.hpp"

namespace moeshift {

/// Layers with experts, as one key (or several that belong together) states them.
struct StatedMoeLayers {
  std::string key;
  JsonReader at;
  std::vector<std::int64_t> ids;  ///< ascending
  bool of_drafts = false;         ///< it speaks of draft layers too
};

/// Nemotron-H's letters: the places of E. @throws InputError for a letter that is not known.
[[nodiscard]] std::vector<std::int64_t> layers_of_pattern(const JsonReader& pattern);

/// Rules by number, each family's own arithmetic; only those that are in the file and leave out a
/// layer: what is at its default says nothing.
[[nodiscard]] std::vector<StatedMoeLayers> moe_layer_rules(const HfConfig& config,
                                                           std::int64_t layers);
/// Names keys that look as if they chose layers and are not read.
void tell_unread_layer_keys(const HfConfig& config, std::vector<std::string>& assumed);

/// How many layers there are, how many draft layers follow, and whether the user asks for those.
struct DraftQuestion {
  std::int64_t layers = 0;
  std::int64_t drafts = 0;
  bool asked = false;
};
/// The numbers of draft layers that have experts. Where the user asks for them, what is dense, not
/// named or assumed is told.
[[nodiscard]] std::vector<std::int64_t> draft_layers(const HfConfig& config,
                                                     const std::vector<StatedMoeLayers>& stated,
                                                     const DraftQuestion& question,
                                                     std::vector<std::string>& assumed);

}  // namespace moeshift
