// SPDX-License-Identifier: Apache-2.0
// `incremental` and `robust`: plans from the old placement, at a price, over one window or several.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "moeshift/core/units.hpp"
#include "moeshift/plan/fresh/fresh_plan.hpp"
#include "moeshift/plan/layered_planner.hpp"
#include "moeshift/plan/relabel.hpp"
#include "moeshift/plan/search/window_search.hpp"

namespace moeshift {

struct IncrementalOptions {
  Effort effort;
  Risk risk;
  bool use_samples = false;   ///< plan on PlanProblem::samples, not on the load alone
  bool from_scratch = false;  ///< ignore the old placement but for naming the ranks
  bool needs_old = false;     ///< refuse to plan without an old placement
  LinkPrices links;           ///< cost of a received replica
  double price = 0;           ///< risk that one intra-node transfer must buy
  double settled = 0;         ///< share of a layer's slots below which a transfer costs less
  double rebuild_share = 1;   ///< of the price, where a layer is planned afresh (warm_layer.hpp)
  /// Several windows: never end above the risk of EPLB's plan of their mean, whatever the price.
  bool floor = false;
  double target_gap = 0.01;  ///< stop at (1 + target_gap) x the lower bound
  double doubt = 0;          ///< relative error of loads beside the windows' (window_search.hpp)
  double min_gain = 0;       ///< leave a layer alone unless its risk falls by this share
  std::size_t max_steps = 400;
  std::optional<double> budget_transfers;  ///< over all layers; spread where it buys most
};

/// Starts from the old placement and takes the exchanges that buy most balance per byte moved
/// (window_search.hpp); without one, or from scratch, from near-optimal fresh plans of the mean
/// load and of the mean plus 0.7 standard deviations, improved over the windows and relabelled.
///
/// Windows that were (not scenarios of a forecaster) are read for the one to come first, by a
/// backtest over all layers (forecast/persistence.hpp): the same reading as `recentred:16xN:auto`.
///
/// Every prefix of a layer's search is a valid plan: each layer stops at its best value of risk +
/// price of its cost, or, under a budget, where spread_budget puts it. Explains each move in
/// PlanResult::reasons. Never two replicas of an expert on one rank.
class IncrementalPlanner final : public Planner {
 public:
  explicit IncrementalPlanner(IncrementalOptions options) : options_(std::move(options)) {}

  /// @throws InfeasibleError when a rank has more slots than there are experts; InputError when an
  ///         old placement is needed and missing.
  [[nodiscard]] PlanResult plan(const PlanProblem& problem, Threads threads,
                                Progress& progress) const override;

 private:
  IncrementalOptions options_;
};

}  // namespace moeshift
