// SPDX-License-Identifier: Apache-2.0
// A rearrangement cut into steps that need less staging memory each.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "moeshift/schedule/layer_needs.hpp"

namespace moeshift {

struct WaveLimits {
  std::uint32_t buffers = 1;  ///< staging buffers of each rank
  /// What lands in a slot that nobody reads needs no buffer.
  bool direct = false;
};

/// One step of a layer.
struct WaveStep {
  /// What the step may read: the state before it without the slots that are written while it is
  /// staged (`direct` only).
  LayerSlots before;
  LayerSlots after;
};

/// Steps from `old` to a state that agrees with `next` wherever that holds something. In each, a
/// rank receives at most `buffers` experts that need a buffer or breaks as many cycles of local
/// moves, and every expert of `next` always has a holder.
///
/// One buffer is enough for every rearrangement: what a rank drops, a rank that waits for it takes
/// in, and a chain that comes back to a rank is a cycle through distinct ranks, each of which needs
/// one buffer. With `direct`, first whatever is empty, held elsewhere or not wanted any more is
/// overwritten at once; no buffer at all may then be enough. Greedy; with more buffers fewer steps.
/// O(steps * (arrivals + slots)).
/// @return nothing when there are no buffers and some chain comes back to where it began.
/// Source: Hall, Hartline, Karlin, Saia, Wilkes, "On algorithms for efficient data migration"
/// (2001), who need bypass nodes where we have copies.
[[nodiscard]] std::optional<std::vector<WaveStep>> split_into_waves(const LayerSlots& old,
                                                                    const LayerSlots& next,
                                                                    std::size_t experts,
                                                                    const WaveLimits& limits);

}  // namespace moeshift
