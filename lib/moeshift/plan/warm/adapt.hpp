// SPDX-License-Identifier: Apache-2.0
// Makes an old placement fit: other ranks, other slots, lost experts, doubled replicas.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "moeshift/plan/layer_problem.hpp"

namespace moeshift {

/// The old placement as one of the problem's shape with every expert held and none twice on a rank,
/// changed as little as that allows: replicas past a rank's slots and doubled ones go, lost experts
/// return (for the spare replicas that are least loaded, where there is no hole), the other holes
/// take the hottest experts that their rank lacks.
///
/// @param load [experts] positive. @pre slots_per_rank <= experts <= slots.
/// O(slots * experts) when there are holes, else O(slots).
[[nodiscard]] std::vector<std::uint32_t> adapt_old(const LayerProblem& problem,
                                                   std::span<const double> load);

}  // namespace moeshift
