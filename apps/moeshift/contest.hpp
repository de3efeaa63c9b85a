// SPDX-License-Identifier: Apache-2.0
// Several policies on equal terms: what `compare` asks of each of them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "moeshift/core/parallel.hpp"
#include "moeshift/core/progress.hpp"
#include "moeshift/core/units.hpp"
#include "moeshift/cost/balance.hpp"
#include "moeshift/model/cluster.hpp"
#include "moeshift/model/load.hpp"
#include "moeshift/model/placement.hpp"
#include "moeshift/model/transfer_plan.hpp"
#include "moeshift/plan/planner.hpp"

namespace moeshift::cli {

/// Everything that is the same for all policies.
///
/// The experts move away from `from`; without it from what the policy itself makes of `before`;
/// without both from an engine's initial map (policy `static`).
struct Contest {
  PlanProblem train;  ///< what they plan on
  LoadMatrix test;    ///< held-out loads that judge them
  std::optional<LoadMatrix> before;
  std::optional<Placement> from;
  std::optional<Cluster> cluster;     ///< with `expert_bytes`: the move is priced
  std::optional<Bytes> expert_bytes;  ///< absent: transfers are counted, bytes are not
};

/// What one policy came to.
struct ContestRow {
  std::string policy;
  RankLoads train_loads;  ///< under the new placement
  RankLoads test_loads;
  Balance train;  ///< filled by `judge`, as is `test`
  Balance test;
  TransferTotals totals;  ///< bytes only with Contest::expert_bytes
  std::optional<Seconds> predicted;
  Seconds planning;
};

/// Plans the previous placement, plans on the training loads from there, schedules and prices the
/// move, and loads the new placement with both.
[[nodiscard]] ContestRow try_policy(const Contest& contest, const std::string& policy,
                                    const Planner& planner, Threads threads, Progress& progress);

/// Fills `train` and `test` of every row. All rows are held against the same lower bounds: the
/// tightest that the best of them certifies.
void judge(const Contest& contest, Threads threads, std::vector<ContestRow>& rows);

}  // namespace moeshift::cli
