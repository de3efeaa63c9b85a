// SPDX-License-Identifier: Apache-2.0
// What a move must buy: seconds of a transfer in the units that planners trade in.
#pragma once

#include "moeshift/core/units.hpp"
#include "moeshift/cost/serving_parameters.hpp"
#include "moeshift/model/cluster.hpp"

namespace moeshift {

struct MovePrice {
  double imbalance = 0;   ///< max / mean of its layer that one intra-node transfer must buy
  double inter_node = 1;  ///< intra-node transfers that an inter-node one costs, >= 1
};

/// The price at which a transfer has saved its own time after `steps` steps. One replica alone on
/// its way takes per_message + bytes / the narrowest of pair, egress and ingress; an imbalance that
/// is less by 1 saves expert_per_token for each of a rank's pairs in each step. Where nothing can
/// be saved (no load), a transfer is dearer than anything it buys.
/// @param pairs_per_rank (token, expert) pairs of a layer, per rank and step.
[[nodiscard]] MovePrice move_price(const ServingParameters& serving, const Cluster& cluster,
                                   Bytes expert, double pairs_per_rank, double steps);

}  // namespace moeshift
