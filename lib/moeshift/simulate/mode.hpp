// SPDX-License-Identifier: Apache-2.0
// How a rearrangement shares the machine with serving.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "moeshift/core/units.hpp"

namespace moeshift {

enum class ModeKind : std::uint8_t {
  kSync,     ///< the world stops until every layer has moved
  kLayered,  ///< the world stops at every step boundary, for a few layers
  kAsync,    ///< layers are staged beside serving; a boundary only votes and commits
  kTrickle,  ///< no events: every step moves at most so many bytes beside serving
};

struct ModeOptions {
  ModeKind kind = ModeKind::kAsync;
  /// kLayered: layers per boundary. kAsync: commits per boundary, 0 = as many as are ready.
  std::size_t layers_per_step = 0;
  Bytes trickle_bytes;             ///< kTrickle: per step, over all ranks
  std::size_t buffers = 2;         ///< staging buffers (layers in flight)
  Seconds plan;                    ///< how long the policy thinks: in the way (kSync, kLayered) or
                                   ///< beside serving
  double background_share = 0.25;  ///< of every link that staging beside serving takes, in (0, 1)
  bool handshake_unchanged = false;  ///< layers that stay as they are vote and commit all the same
};

/// "sync", "layered:4", "async" (as many commits as are ready), "async:1", "trickle:44MB". Bytes
/// take B, kB, MB, GB (powers of 1000), KiB, MiB, GiB (powers of 1024). Fills kind,
/// layers_per_step and trickle_bytes.
/// @throws InputError for anything else.
void parse_mode(std::string_view spec, ModeOptions& mode);

/// The spec that parse_mode reads back.
[[nodiscard]] std::string to_string(const ModeOptions& mode);

}  // namespace moeshift
