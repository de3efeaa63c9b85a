// SPDX-License-Identifier: Apache-2.0
// A transfer plan as the calls of every rank.
#pragma once

#include <cstddef>
#include <vector>

#include "moeshift/core/units.hpp"
#include "moeshift/model/transfer_plan.hpp"
#include "moeshift/schedule/proof/operations.hpp"

namespace moeshift {

struct OrderOptions {
  std::size_t buffers = 1;  ///< sets of staging buffers: batches in flight per rank, >= 1
  /// All ranks vote before a batch goes live, and copy on a second stream: ours. Without: one
  /// stream does everything, layer after layer, and nobody votes: the peers'.
  bool votes = true;
  /// Messages of a pair that one call may hold; 0 = a group of the plan is one call. The k-th
  /// message of every pair is in call k / messages_per_call of its group, as the engine cuts them.
  std::size_t messages_per_call = 0;
  /// Bytes of the tensors of an expert, in their order, for plans whose experts travel as several
  /// messages; where they do not add up to the size of an expert, this one's is shared out in
  /// proportion.
  std::vector<Bytes> tensors = {};
};

/// What every rank calls to carry out `plan`: per batch (or wave of its only layer) the copies into
/// staging, then a call per group, the vote and the copies out of staging.
///
/// Experts that a pair exchanges in a group are messages of their own here: how a transport gathers
/// them in one is not part of a plan. O(transfers * messages of an expert + ranks * groups).
[[nodiscard]] OperationLists operations_of(const TransferPlan& plan, const OrderOptions& options);

}  // namespace moeshift
