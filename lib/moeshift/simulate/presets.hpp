// SPDX-License-Identifier: Apache-2.0
// Rearrangement as well-known engines do it by default.
#pragma once

#include <span>
#include <string_view>

#include "moeshift/simulate/lane.hpp"

namespace moeshift {

/// A row of the preset table.
struct EnginePreset {
  std::string_view name;
  std::string_view summary;
  std::string_view source;
  void (*apply)(LaneSettings& settings);  ///< everything but name, planner and seed
};

/// `moeshift` (ours, the default), `vllm`, `sglang`.
[[nodiscard]] std::span<const EnginePreset> engine_presets();

/// Sets the defaults of the engine called `name`.
/// @throws InputError for an unknown name, with the closest known one.
void apply_preset(std::string_view name, LaneSettings& settings);

}  // namespace moeshift
