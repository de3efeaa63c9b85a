// SPDX-License-Identifier: Apache-2.0
// What a transport reaches with no plan at all: the yardstick for a rearrangement's throughput.
#pragma once

#include <cstddef>
#include <span>

#include "moeshift/core/units.hpp"
#include "moeshift/execute/engine/waiter.hpp"
#include "moeshift/execute/shuffle.hpp"

namespace moeshift {

/// Times a ring (everything to the right neighbour) and an all-to-all (the same share to
/// everybody), both in `groups` exchanges that are started at once, and copies of `piece` bytes
/// inside each rank's memory; the median of some runs, of each the slowest rank.
///
/// All ranks call it together, connected to all others, with the same arguments; `area` is as large
/// on each and is overwritten.
/// @param bytes that every rank sends in each of the two, and copies, as far as `area` has room.
/// @throws ShuffleFailure, DeviceError.
[[nodiscard]] BaselineTimes measure_baseline(Member& member, const Waiter& waiter,
                                             std::span<std::byte> area, Bytes bytes,
                                             std::size_t groups, Bytes piece, Seconds allowance);

}  // namespace moeshift
