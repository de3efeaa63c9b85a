// SPDX-License-Identifier: Apache-2.0
// What a rank's slots hold while a layer is being rearranged, wave by wave.
#pragma once

#include <cstddef>
#include <vector>

#include "moeshift/core/ids.hpp"
#include "moeshift/model/placement.hpp"
#include "moeshift/model/transfer_plan.hpp"

namespace moeshift {

/// The experts in `rank`'s slots of a layer once so many waves of `moves` are committed,
/// [slots per rank]: before the first wave those of `old`, after the last those of `next`, empty
/// when the rank has no part in that placement; in between the old ones with what the waves have
/// written over them.
/// @param layer the row of both placements.
/// @param waves <= moves.waves.size().
[[nodiscard]] std::vector<ExpertId> slots_after_waves(const LayerMoves& moves, const Placement& old,
                                                      const Placement& next, LayerId layer,
                                                      RankId rank, std::size_t waves);

}  // namespace moeshift
