// SPDX-License-Identifier: Apache-2.0
// A rearrangement priced against the way a peer would do it, feature by feature.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "moeshift/core/parallel.hpp"
#include "moeshift/cost/transfer_cost.hpp"
#include "moeshift/report/table.hpp"

#include "apps/moeshift/inputs/move_task.hpp"

namespace moeshift::cli {

/// The price after one more feature of ours has been switched on.
struct FeatureStep {
  std::string feature;
  std::string meaning;
  Seconds total;  ///< predicted, everything
};

struct AgainstPeer {
  std::string peer;
  std::vector<FeatureStep> steps;      ///< the peer itself first, ours last
  std::vector<LayerId> longer_layers;  ///< layers on which ours takes longer than the peer

  [[nodiscard]] double times_faster() const {
    return ratio(steps.front().total, steps.back().total);
  }
};

/// @param ours the plan to compare, with its price under `options`. The peer has one buffer.
[[nodiscard]] AgainstPeer compare_with_peer(const std::string& peer, const MoveTask& task,
                                            const TransferPlan& plan, const TransferCost& ours,
                                            const CostOptions& options, Threads threads);

[[nodiscard]] nlohmann::ordered_json against_json(const AgainstPeer& against);
[[nodiscard]] Table against_table(const AgainstPeer& against);
/// "2.9 x faster than vllm-batched, and longer on no layer"
[[nodiscard]] std::string against_line(const AgainstPeer& against);

}  // namespace moeshift::cli
