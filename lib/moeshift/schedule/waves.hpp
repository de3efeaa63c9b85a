// SPDX-License-Identifier: Apache-2.0
// A rearrangement cut into steps that need less staging memory each.
#pragma once

#include <cstdint>
#include <vector>

#include "moeshift/schedule/layer_needs.hpp"

namespace moeshift {

/// The states of a layer between `old` and `next`, ending with one that agrees with `next` wherever
/// that holds something. From each to the following, a rank receives at most `buffers` experts or
/// breaks as many cycles of local moves, and every expert of `next` always has a holder.
///
/// One buffer is enough for every rearrangement: what a rank drops, a rank that waits for it takes
/// in, and a chain that comes back to a rank is a cycle through distinct ranks, each of which needs
/// one buffer. Greedy; with more buffers fewer steps. O(steps * (arrivals + slots)).
/// Source: Hall, Hartline, Karlin, Saia, Wilkes, "On algorithms for efficient data migration"
/// (2001), who need bypass nodes where we have copies.
[[nodiscard]] std::vector<LayerSlots> split_into_waves(const LayerSlots& old,
                                                       const LayerSlots& next, std::size_t experts,
                                                       std::uint32_t buffers);

}  // namespace moeshift
