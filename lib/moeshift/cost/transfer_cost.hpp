// SPDX-License-Identifier: Apache-2.0
// Seconds for a transfer plan on a cluster.
#pragma once

#include <vector>

#include "moeshift/core/units.hpp"
#include "moeshift/model/cluster.hpp"
#include "moeshift/model/topology.hpp"
#include "moeshift/model/transfer_plan.hpp"

namespace moeshift {

/// Predicted times of one layer, all waves.
struct LayerCost {
  Seconds stage;  ///< stage copies and transfers
  Seconds vote;
  Seconds commit;  ///< buffer to live copies and the switch of the maps
};

/// Predicted times of a whole rearrangement.
struct TransferCost {
  Seconds connection;  ///< first contact of every pair that exchanges anything
  Seconds stage;       ///< sum over layers
  Seconds commit;      ///< sum over layers
  Seconds total;       ///< wall time: layers pipelined through `buffers` staging buffers
  Seconds exposed;     ///< what inference feels: everything in sync mode, commits in async mode
  std::vector<LayerCost> layers;  ///< as TransferPlan::layers
};

struct CostOptions {
  std::size_t buffers = 2;        ///< staging buffers in flight per rank (pipeline depth)
  bool synchronous = true;        ///< inference stands still meanwhile
  double background_share = 1.0;  ///< of every link's capacity that is left for the rearrangement
};

/// Prices `plan` on `cluster`.
///
/// A group of transfers costs launch + the slowest port class, a port class its latency + the
/// slowest of its resources, a resource messages * per_message + bytes / capacity; batches of
/// layers pipeline through `buffers`. The formulae stand in docs/cost_model.md.
/// O(transfers + copies + ranks * groups).
[[nodiscard]] TransferCost price(const TransferPlan& plan, const Topology& topology,
                                 const Cluster& cluster, const CostOptions& options = {});

}  // namespace moeshift
