// SPDX-License-Identifier: Apache-2.0
// Coverage after losses, the repair: placements made to survive, and to stay balanced.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "moeshift/plan/layer_problem.hpp"
#include "moeshift/plan/search/window_search.hpp"

namespace moeshift {

/// What searches must respect so that the placement goes on to survive.
[[nodiscard]] HolderRule holder_rule(const LayerProblem& problem);

/// Makes a placement survive with few changes: an expert that lacks holders takes the place of a
/// replica that can be spared, directly or by way of one more exchange; where that does not end
/// well, everything is dealt out anew. Does nothing when nothing is asked.
/// @param load [experts] positive. @param experts [slots] distinct within a rank, as the result.
/// @pre check_survivable() passed. O(lacking slots), O(lacking slots^2) at worst.
void cover(const LayerProblem& problem, std::span<const double> load,
           std::vector<std::uint32_t>& experts);

/// The same, then balanced by exchanges that keep the coverage (window_search.hpp).
/// @return moves tried.
std::uint64_t cover_and_balance(const LayerProblem& problem, std::span<const double> load,
                                std::vector<std::uint32_t>& experts);

}  // namespace moeshift
