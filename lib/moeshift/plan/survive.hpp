// SPDX-License-Identifier: Apache-2.0
// Coverage after losses: every expert on more ranks (or nodes) than may fail at once.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "moeshift/plan/layered_planner.hpp"
#include "moeshift/plan/search/window_search.hpp"

namespace moeshift {

/// "2" or "ranks:2": any two ranks; "nodes:1": any node.
/// @throws InputError for anything else.
[[nodiscard]] Survive survive_rule(const std::string& text);

/// @throws InfeasibleError, naming the slots that would do, unless every expert can be on
///         `losses` + 1 active ranks (nodes). A placement exists exactly when there are that many
///         and sum over ranks (nodes) of min(slots, experts) >= (losses + 1) experts (Gale, Ryser).
void check_survivable(const LayerProblem& problem);

/// True when no loss of that many ranks (nodes) takes the last replica of an expert.
[[nodiscard]] bool survives(const LayerProblem& problem, std::span<const ExpertId> slots);

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
