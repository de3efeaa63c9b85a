// SPDX-License-Identifier: Apache-2.0
// What a user may ask of a policy. Each policy reads the options that concern it.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "moeshift/core/units.hpp"
#include "moeshift/cost/objective.hpp"

namespace moeshift {

struct NetworkGoal;

struct PolicyOptions {
  /// `deepseek`, `vllm`, `snake`, `sglang_vec`: "auto" (hierarchical when the groups divide by the
  /// nodes, else global), "hierarchical" or "global".
  std::string hierarchy = "auto";
  /// How hard our policies search: "fast", "normal" or "thorough".
  std::string effort = "normal";
  /// A layer is left alone when moving would lower its peak by no more than this share.
  double min_gain = 1e-3;
  /// `hierarchical`: "auto", "hard", "soft:B" or "price:x".
  std::string home = "auto";
  /// `robust`: what is minimised over the windows: "mean", "cvar:a" or "worst".
  std::string risk = "mean";
  /// `robust`: plan afresh although there is an old placement.
  bool from_scratch = false;
  /// `incremental`, `robust`: imbalance (max / mean) that one intra-node transfer must buy, a
  /// number; absent: nothing for `incremental`; for `robust` 0.0005, and less for the first
  /// twentieth of a layer's slots, rising evenly from 0, and where a layer is planned afresh.
  std::optional<std::string> price = {};
  /// What an inter-node transfer costs in intra-node ones.
  double inter_node_price = 9;
  /// `incremental`: stop at this share above the lower bound.
  double target_gap = 0.01;
  /// `incremental`, `robust`: bytes that may cross ranks, over all layers; needs `expert_bytes`.
  std::optional<Bytes> budget = {};
  Bytes expert_bytes{1};
  /// `balanced`, `hierarchical`, `incremental`, `robust`: what must not take the last holder of an
  /// expert: "k" or "ranks:k" (any k ranks), "nodes:k" (any k nodes).
  std::string survive = "0";
  /// Slots over all layers and active ranks; layers then differ in slots (slots_budget.hpp).
  std::optional<std::size_t> slots_budget = {};
  /// `balanced`, `hierarchical`, `incremental`, `robust`: spare the network, too, where the problem
  /// has routes (together/together_planner.hpp). Prices and budgets are filled in from here.
  std::shared_ptr<const NetworkGoal> network = {};
  /// What makes a rank slow (objective_planner.hpp).
  Objective objective = {};
};

}  // namespace moeshift
