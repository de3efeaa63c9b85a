// SPDX-License-Identifier: Apache-2.0
// `hierarchical`: expert groups on their home nodes, as strictly as asked.
#pragma once

#include <cstddef>
#include <string>

#include "moeshift/plan/fresh/fresh_plan.hpp"
#include "moeshift/plan/layered_planner.hpp"
#include "moeshift/plan/relabel.hpp"

namespace moeshift {

/// How much it matters that a replica lives on a home node of its group.
struct HomeRule {
  enum class Kind { kAuto, kHard, kSoft, kPrice };
  Kind kind = Kind::kAuto;
  double value = 0;  ///< kSoft: most off-home replicas per layer; kPrice: cost of an off-home token

  bool operator==(const HomeRule&) const = default;
};

/// "auto", "hard", "soft:16" or "price:0.1".
/// @throws InputError for anything else.
[[nodiscard]] HomeRule home_rule(const std::string& name);

/// Groups to nodes as evenly as they go (group_homes.hpp), every node planned by itself
/// (fresh_plan.hpp), then, unless hard, the replicas that buy most balance leave home: at most
/// `value` of them, or as long as the peak falls by more than `value` tokens per token off home.
///
/// "auto" is soft:16 where the groups spread evenly over nodes of one size. Where they do not, some
/// node has too much at home for any fixed number of exceptions, and it is price:0.001, or, should
/// that end above EPLB's flat plan (which is what EPLB falls back to), a flat plan.
///
/// Hard grouping is bound by its busiest node, which the verdict's lower bound then says. Groups
/// that cannot lie whole in a node have several home nodes. With an old placement the plan is
/// relabelled within nodes and by whole nodes. Never two replicas of an expert on a rank.
class HierarchicalPlanner final : public LayeredPlanner {
 public:
  HierarchicalPlanner(HomeRule rule, Effort effort, LinkPrices links)
      : rule_(rule), effort_(effort), links_(links) {}

 protected:
  /// @throws InfeasibleError when a rank has more slots than there are experts, or when hard is
  ///         asked for and the groups do not fit whole into the nodes.
  [[nodiscard]] LayerPlan plan_layer(const LayerProblem& problem) const override;
  [[nodiscard]] LayerPlan plan_layer_hastily(const LayerProblem& problem) const override;

 private:
  [[nodiscard]] LayerPlan plan_by(const LayerProblem& problem, const HomeRule& rule) const;
  [[nodiscard]] LayerPlan plan_unevenly(const LayerProblem& problem) const;

  HomeRule rule_;
  Effort effort_;
  LinkPrices links_;
};

}  // namespace moeshift
