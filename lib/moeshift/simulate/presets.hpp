// SPDX-License-Identifier: Apache-2.0
// Rearrangement as well-known engines do it by default.
#pragma once

#include <cstdint>
#include <span>
#include <string>
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

/// What `policy` looks ahead with in a lane of ours unless told otherwise: `robust` on sixteen
/// windows that span `steps` each, read as they would have forecast best; others as `otherwise`.
[[nodiscard]] std::string usual_forecaster(std::string_view policy, std::uint64_t steps,
                                           std::string otherwise);

}  // namespace moeshift
