// SPDX-License-Identifier: Apache-2.0
// What is really in a rank's slots.
#pragma once

#include "moeshift/execute/engine/fingerprints.hpp"
#include "moeshift/execute/engine/rank_context.hpp"
#include "moeshift/execute/engine/rank_memory.hpp"

namespace moeshift {

/// Recomputes and compares every byte of every live slot (of the caller's weights, by their
/// fingerprints: then not null) with what the layer holds after the waves
/// that this rank has committed. What is wrong goes into the outcome; a layer is kVerified unless
/// the rank has failed.
/// @throws ShuffleFailure when the memory takes too long, DeviceError when it cannot be read.
void compare_every_byte(RankContext& context, const ShuffleJob& job, const RankMemory& memory,
                        const Fingerprints* fingerprints);

}  // namespace moeshift
