// SPDX-License-Identifier: Apache-2.0
// Seconds for a transfer plan on a cluster.
#pragma once

#include <optional>
#include <vector>

#include "moeshift/core/units.hpp"
#include "moeshift/model/cluster.hpp"
#include "moeshift/model/topology.hpp"
#include "moeshift/model/transfer_plan.hpp"

namespace moeshift {

/// Predicted times of one layer, all waves.
struct LayerCost {
  Seconds stage;   ///< stage copies and transfers
  Seconds launch;  ///< of that: issuing its groups
  Seconds gather;  ///< likewise: gathering its messages, where the wires are idle or beside others
  Seconds vote;    ///< of its batch, with the batch's first layer
  Seconds commit;  ///< buffer to live copies and the switch of the maps
};

/// Predicted times of a whole rearrangement.
struct TransferCost {
  Seconds plan;        ///< CostOptions::software.plan
  Seconds connection;  ///< first contact of every pair that exchanges anything
  Seconds stage;       ///< sum over layers
  Seconds commit;      ///< sum over layers
  Seconds total;       ///< wall time: plan, first contact, layers pipelined through `buffers`
  /// What inference waits for: everything in sync mode; what happens between two steps in the
  /// stepped modes; commits when it goes on beside but nothing is known of its steps.
  Seconds exposed;
  std::size_t in_flight =
      1;  ///< batches at once: `buffers`, 1 where copies and messages share memory
  std::vector<LayerCost> layers;  ///< as TransferPlan::layers
};

/// What the program spends beside the machine: the same on every machine, unlike Cluster's costs.
struct SoftwareCosts {
  Seconds plan;           ///< working out the new placement
  Seconds per_layer;      ///< on a changed layer, before its first group
  Seconds per_operation;  ///< on each message that a rank sends or receives
};

/// Inference engines in Python: 7.5 ms per changed layer and 70 us per send or receive operation,
/// fitted to vllm#28369 (260 ms for 26 layers) and vllm#28562 (1.7 s for 48 layers).
[[nodiscard]] SoftwareCosts python_engine(Seconds plan);

/// A rearrangement that takes turns with steps of the model.
struct SteppedMode {
  Seconds step;                     ///< what one takes, undisturbed
  bool beside = true;               ///< staged while steps run; else between two of them
  std::size_t layers_per_step = 1;  ///< not beside: that are moved between two steps
  std::size_t commits_per_step =
      1;  ///< beside: batches that go live between two; 0 = all there are
};

struct CostOptions {
  std::size_t buffers = 2;  ///< staging buffers in flight per rank (pipeline depth)
  bool synchronous = true;  ///< inference stands still meanwhile
  /// Absent: everything as fast as it goes.
  std::optional<SteppedMode> steps = {};
  double background_share = 1.0;  ///< of every link's capacity that is left for the rearrangement
  SoftwareCosts software = {};    ///< none, as this project's own executor
  /// A commit changes a table of pointers: its copies are none (what two slots of a rank share is
  /// copied all the same, and not counted), and what is left is fixed.commit.
  bool flips = false;
};

/// Prices `plan` on `cluster`.
///
/// A group of transfers costs launch + the slowest port class, a port class its latency + the
/// slowest of its resources, a resource messages * per_message + bytes / capacity; batches of
/// layers pipeline through `buffers`, except where copies and messages share a node's memory. The
/// formulae stand in docs/cost_model.md.
/// O(transfers + copies + ranks * groups).
[[nodiscard]] TransferCost price(const TransferPlan& plan, const Topology& topology,
                                 const Cluster& cluster, const CostOptions& options = {});

}  // namespace moeshift
