// SPDX-License-Identifier: Apache-2.0
// What a user may ask of a policy. Each policy reads the options that concern it. Words become
// values by effort_named(), home_rule(), risk_named(), survive_rule() and eplb_mode().
#pragma once

#include <cstddef>
#include <memory>
#include <optional>

#include "moeshift/core/units.hpp"
#include "moeshift/cost/objective.hpp"
#include "moeshift/plan/fresh/fresh_plan.hpp"
#include "moeshift/plan/fresh/hierarchical.hpp"
#include "moeshift/plan/peers/eplb.hpp"
#include "moeshift/plan/search/risk.hpp"
#include "moeshift/plan/survive.hpp"

namespace moeshift {

struct NetworkGoal;

struct PolicyOptions {
  EplbMode hierarchy = EplbMode::kAuto;  ///< `deepseek`, `vllm`, `snake`
  Effort effort = {};                    ///< how hard our policies search
  /// A layer is left alone when moving would lower its peak by no more than this share.
  double min_gain = 1e-3;
  HomeRule home = {};  ///< `hierarchical`
  Risk risk = {};      ///< `robust`: what is minimised over the windows
  /// `robust`: plan afresh although there is an old placement.
  bool from_scratch = false;
  /// `incremental`, `robust`: imbalance (max / mean) that one intra-node transfer must buy;
  /// absent: nothing for `incremental`; for `robust` 0.0005, and less for the first
  /// twentieth of a layer's slots, rising evenly from 0, and where a layer is planned afresh.
  std::optional<double> price = {};
  /// What an inter-node transfer costs in intra-node ones.
  double inter_node_price = 9;
  /// `incremental`: stop at this share above the lower bound.
  double target_gap = 0.01;
  /// `incremental`, `robust`: bytes that may cross ranks, over all layers; needs `expert_bytes`.
  std::optional<Bytes> budget = {};
  Bytes expert_bytes{1};
  /// `balanced`, `hierarchical`, `incremental`, `robust`: what must not take the last holder of an
  /// expert.
  Survive survive = {};
  /// Slots over all layers and active ranks; layers then differ in slots (slots_budget.hpp).
  std::optional<std::size_t> slots_budget = {};
  /// `balanced`, `hierarchical`, `incremental`, `robust`: spare the network, too, where the problem
  /// has routes (together/together_planner.hpp). Prices and budgets are filled in from here.
  std::shared_ptr<const NetworkGoal> network = {};
  /// What makes a rank slow (objective_planner.hpp).
  Objective objective = {};
};

}  // namespace moeshift
