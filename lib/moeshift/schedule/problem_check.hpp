// SPDX-License-Identifier: Apache-2.0
// The start of every schedule: do the two placements go together, and what does each layer need?
#pragma once

#include <vector>

#include "moeshift/core/parallel.hpp"
#include "moeshift/model/topology.hpp"
#include "moeshift/model/transfer_plan.hpp"
#include "moeshift/schedule/layer_needs.hpp"

namespace moeshift {

/// The needs of every layer, [layers].
/// @throws InputError when layers, experts or ranks disagree, a dead rank does not exist, or,
///         listing them, when experts of `next` have no live holder.
[[nodiscard]] std::vector<LayerNeeds> checked_needs(const Placement& old, const Placement& next,
                                                    const Topology& topology,
                                                    const std::vector<RankId>& dead_ranks,
                                                    Threads threads);

/// A plan of the right shape whose layers all stay as they are.
[[nodiscard]] TransferPlan empty_plan(const Placement& old, const Placement& next,
                                      const Topology& topology, Bytes expert_bytes);

}  // namespace moeshift
