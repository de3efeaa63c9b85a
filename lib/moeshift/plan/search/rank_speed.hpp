// SPDX-License-Identifier: Apache-2.0
// A plan for ranks that are alike, made one for ranks that are not.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "moeshift/plan/layer_problem.hpp"

namespace moeshift {

/// Gives the heaviest contents to the fastest ranks, then evens the times out by exchanges
/// (window_search.hpp). Does nothing where ranks are alike. The coverage that is asked for stays
/// where ranks are what is lost; where nodes are, contents keep their ranks.
/// @param load [experts] positive. @param experts [slots] distinct within a rank, as the result.
/// @param tolerance above the bound at which to stop. @return moves tried.
std::uint64_t balance_times(const LayerProblem& problem, std::span<const double> load,
                            double tolerance, std::vector<std::uint32_t>& experts);

}  // namespace moeshift
