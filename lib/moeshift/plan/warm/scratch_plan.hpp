// SPDX-License-Identifier: Apache-2.0
// One layer planned over its windows as if nothing were in place.
#pragma once

#include "moeshift/plan/layered_planner.hpp"
#include "moeshift/plan/warm/incremental.hpp"

namespace moeshift {

/// Near-optimal plans of the mean load and of the mean plus 0.7 standard deviations, improved over
/// all windows; the better one, its ranks named after the old placement.
[[nodiscard]] LayerPlan plan_from_scratch(const LayerProblem& problem,
                                          const IncrementalOptions& options);

}  // namespace moeshift
