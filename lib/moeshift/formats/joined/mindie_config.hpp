// SPDX-License-Identifier: Apache-2.0
// What MindIE says beside its counts of experts. Internal to formats/.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "moeshift/formats/trace_format.hpp"

namespace moeshift {

inline constexpr std::string_view kMindieConfig = "model_gen_config.json";

/// What model_gen_config.json says.
struct MindieConfig {
  std::size_t layers = 0;  ///< with experts
  std::size_t experts = 0;
  std::optional<std::size_t> top_k;
  std::size_t shared_devices = 0;  ///< the first ones, which hold shared experts
  std::string map;  ///< the file that says which expert a slot held; empty = not named
};

/// @throws InputError
[[nodiscard]] MindieConfig read_mindie_config(const TraceInput& input);

}  // namespace moeshift
