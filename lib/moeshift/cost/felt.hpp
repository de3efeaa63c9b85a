// SPDX-License-Identifier: Apache-2.0
// What a model that serves meanwhile loses to the staging of experts.
#pragma once

#include <cstdint>

#include "moeshift/cost/transfer_cost.hpp"

namespace moeshift {

/// What bounds a step of the model.
enum class StepBound : std::uint8_t { kCompute, kMemory, kLinks };

/// What staging takes of a device.
struct StagingShare {
  bool gathered = false;       ///< experts are copied into messages before they travel
  double multiprocessors = 0;  ///< share of them whose blocks move experts, in [0, 1]
};

/// Time that all staging of a plan takes away from the model's steps, on the rank that loses most:
///
///   compute   the time that it is staged, times the share of multiprocessors
///   memory    bytes read and written, at twice the rate of local copies: an expert is read by who
///             sends it and written by who receives it, and gathered once more each
///   links     bytes of the busier direction, at the rate of the port
///
/// Commits are apart (TransferCost::exposed). A lower estimate: what shares a resource also waits
/// for it. Complexity: O(transfers).
[[nodiscard]] Seconds taken_from_steps(const TransferPlan& plan, const Cluster& cluster,
                                       const TransferCost& cost, StepBound bound,
                                       const StagingShare& staging);

}  // namespace moeshift
