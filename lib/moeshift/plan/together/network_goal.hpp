// SPDX-License-Identifier: Apache-2.0
// What is asked of a plan beside balance: that tokens travel less.
#pragma once

#include <cstddef>
#include <optional>

#include "moeshift/cost/dispatch.hpp"
#include "moeshift/cost/serving_model.hpp"

namespace moeshift {

struct NetworkGoal {
  /// Seconds of a layer; absent: copies are counted and not priced.
  std::optional<ServingModel> serving;
  /// Imbalance (max / mean of a layer) that may be given for fewer copies. Absent: as much as makes
  /// a step faster by `serving`, which is needed then.
  std::optional<double> slack;
  /// (token, expert) pairs of one layer in a step; 0 = the loads planned on are one step's.
  double pairs_per_step = 0;
  /// What --dispatch says; `routes` in it is not looked at.
  DispatchOptions dispatch = {};
  /// Layers keep what the policy planned unless the gain also shows on windows not planned on.
  bool must_persist = true;
  bool within_nodes = false;  ///< replicas stay on their node (groups have homes)
  bool each_window = false;   ///< every window keeps its balance, not their sum alone
  /// The policy starts from the old placement: a transfer costs this much imbalance, ...
  std::optional<double> price_of_transfer = {};
  double inter_node_price = 9;                ///< ... and one between nodes this many times that,
  std::optional<double> most_transfers = {};  ///< and there may be so many over all layers.
};

}  // namespace moeshift
