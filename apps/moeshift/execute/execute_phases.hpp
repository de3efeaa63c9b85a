// SPDX-License-Identifier: Apache-2.0
// Where the wall time of a rearrangement went, over all ranks, as the cost model divides it.
#pragma once

#include <span>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "moeshift/calibrate/design.hpp"
#include "moeshift/cost/transfer_cost.hpp"
#include "moeshift/execute/shuffle.hpp"
#include "moeshift/model/transfer_plan.hpp"

namespace moeshift::cli {

/// Wall time of one layer: until the last rank has staged it, then until the last one has committed
/// it, the vote included. Time in which the layer before is still committed is that layer's.
struct LayerPhases {
  Seconds stage;
  Seconds commit;
};

/// @return as plan.layers; together they are the wall time from the common start to the last
/// commit.
///         Layers that stayed as they were, and ranks that failed, add nothing.
[[nodiscard]] std::vector<LayerPhases> phases_of(const TransferPlan& plan,
                                                 std::span<const RankOutcome> ranks);

/// How far the prediction is off, layer by layer. Staging and commit are compared where they were
/// kept apart: else one goes on beside the other, and neither has a time of its own.
struct PredictionError {
  Validation stage;
  Validation commit;  ///< vote included
  double total = 0;   ///< predicted / measured - 1
};
[[nodiscard]] PredictionError prediction_error(const TransferPlan& plan,
                                               const std::vector<LayerPhases>& measured,
                                               const TransferCost& predicted, Seconds total,
                                               bool stages_apart);

[[nodiscard]] nlohmann::ordered_json error_json(const PredictionError& error);
/// "predicted within 4 % (median) .. 9 % (95th percentile of layers) for staging, ..."
[[nodiscard]] std::string error_line(const PredictionError& error);

}  // namespace moeshift::cli
