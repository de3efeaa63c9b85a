// SPDX-License-Identifier: Apache-2.0
// Small layers travel together: what starting a group costs is then paid once for all of them.
#pragma once

#include "moeshift/core/units.hpp"
#include "moeshift/model/transfer_plan.hpp"

namespace moeshift {

/// Joins consecutive batches of `plan` while the rank that receives or copies most stages less than
/// `bytes` in one; layers of several waves stay alone. Staging buffers are numbered anew, each
/// layer's after those of the layers before it in its batch.
///
/// The joined layers of a batch are voted for together, so fewer and larger steps are all or
/// nothing; 0 leaves the plan as it is.
/// Complexity: O(moves).
[[nodiscard]] TransferPlan join_layers(TransferPlan plan, Bytes bytes);

}  // namespace moeshift
