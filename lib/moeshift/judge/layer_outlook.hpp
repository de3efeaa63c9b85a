// SPDX-License-Identifier: Apache-2.0
// Which layers are uneven, and how even a placement could make them.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "moeshift/core/parallel.hpp"
#include "moeshift/core/progress.hpp"
#include "moeshift/model/load.hpp"
#include "moeshift/model/placement.hpp"
#include "moeshift/model/topology.hpp"
#include "moeshift/plan/planner.hpp"

namespace moeshift {

/// Rank imbalance (max / mean) of one layer, on all steps together.
struct LayerOutlook {
  double now = 1;           ///< initial placement
  double without = 1;       ///< best found in the slots that it has without rebalancing
  double with_slots = 1;    ///< best found with all slots
  double lower_bound = 1;   ///< certified, all slots
  double excess_share = 0;  ///< of the busiest ranks' avoidable tokens over all layers
};

/// Plans with hindsight: what a placement could reach if the mean were all there is.
/// @param load summed over all steps. @param without the placement without rebalancing.
/// @param slots with it. @param planner one that needs no old placement.
/// @param rank_speed [ranks] or empty: imbalances are then of times.
/// @throws what the planner throws.
[[nodiscard]] std::vector<LayerOutlook> layer_outlooks(
    const LoadMatrix& load, const Placement& without, std::size_t slots, const Topology& topology,
    std::size_t expert_groups, const Planner& planner, Threads threads, Progress& progress,
    const std::vector<double>& rank_speed = {});

/// The fewest layers that have `share` of all avoidable tokens, worst first.
[[nodiscard]] std::vector<LayerId> layers_that_matter(std::span<const LayerOutlook> layers,
                                                      double share = 0.8);

}  // namespace moeshift
