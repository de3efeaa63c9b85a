// SPDX-License-Identifier: Apache-2.0
// A bare array as a placement. Internal to formats/.
#pragma once

#include "moeshift/formats/array_rows.hpp"
#include "moeshift/formats/placement_format.hpp"

namespace moeshift {

/// One of
/// - [layers, slots] experts,
/// - [layers, ranks, slots of a rank] experts: the deployment table of LauzHack and FlashLB,
/// - [layers, ranks, experts] slots of the rank, -1 = not there: vLLM's expert_map (vllm#14544),
/// - [ranks, layers, experts] of 0 and 1: the pattern of OmniPlacement.
/// @throws InputError
[[nodiscard]] PlacementFile array_placement(ArrayRows& array, const PlacementHints& hints);

}  // namespace moeshift
