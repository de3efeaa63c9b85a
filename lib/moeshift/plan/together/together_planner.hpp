// SPDX-License-Identifier: Apache-2.0
// Lets a policy spare the network: experts that tokens choose together live together.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "moeshift/plan/planner.hpp"
#include "moeshift/plan/together/network_goal.hpp"

namespace moeshift {

/// Takes a policy's plan and exchanges replicas, layer by layer, so that tokens need fewer copies
/// (pair_search.hpp); NetworkGoal says for how much imbalance, or prices both in seconds.
///
/// A layer keeps the policy's plan unless the exchange is better on the routes planned on (counted
/// on sampled tokens) and, with must_persist, also where it was not planned: the search is made on
/// the first half of the windows and judged on the second, and the other way round (of a single
/// window on halves of its sample). So a step is never predicted to be slower than with the policy
/// alone. Without routes, and for layers without tokens, the policy's plan is the answer.
/// `inactive`, `rank_speed` and `survive` are heeded as the policy heeds them; an old placement by
/// naming ranks, and by NetworkGoal's price and budget.
/// Source: the idea is that of TACG (arXiv 2606.01007) and of sglang#19772; annealing on pair
/// counts under caps on load, the hold-out and the price in seconds are ours.
class TogetherPlanner final : public Planner {
 public:
  /// @param plain the same policy on tokens alone where `policy` plans for another objective: the
  ///        better of both is started from, and never undercut by the answer; or null.
  TogetherPlanner(std::unique_ptr<Planner> policy, std::unique_ptr<Planner> plain,
                  std::shared_ptr<const NetworkGoal> goal)
      : policy_(std::move(policy)), plain_(std::move(plain)), goal_(std::move(goal)) {}

  /// @throws InputError when the routes have other layers or experts than the problem.
  [[nodiscard]] PlanResult plan(const PlanProblem& problem, Threads threads,
                                Progress& progress) const override;

 private:
  std::unique_ptr<Planner> policy_;
  std::unique_ptr<Planner> plain_;
  std::shared_ptr<const NetworkGoal> goal_;
};

/// What moving costs a policy that starts from the old placement.
struct MovePrices {
  double inter_node = 9;                      ///< of a transfer between nodes, in others
  double transfer = 0;                        ///< imbalance that one must buy
  std::optional<double> most_transfers = {};  ///< over all layers
};

/// `goal` as the policy of that name plans: hierarchical keeps replicas on their nodes, robust the
/// balance of every window, and both warm policies count transfers.
[[nodiscard]] std::shared_ptr<const NetworkGoal> goal_as(std::string_view policy, NetworkGoal goal,
                                                         const MovePrices& prices);

}  // namespace moeshift
