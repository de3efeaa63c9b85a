// SPDX-License-Identifier: Apache-2.0
// What makes a rank slow: tokens, experts to read, or both in seconds.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "moeshift/cost/balance.hpp"

namespace moeshift {

/// The cost of one step on a rank, as a sum over the replicas that it holds.
///
/// A replica with x expected pairs (token, expert) of a step costs per_token x + per_active a,
/// where a = 1 - (1 - x / n)^n is the chance that at least one of the step's n tokens comes to it,
/// when tokens choose alike and independently; they do neither quite, so a is an approximation from
/// above for experts that are chosen in bursts. Sharing is even.
///
/// | objective | per_token | per_active | why |
/// |---|---|---|---|
/// | tokens | 1 | 0 | prefill: compute |
/// | activated | 0 | 1 | decode: weights are read once per active expert (METRO, arXiv 2512.09277)
/// | | seconds | s per token | s per expert read | the sum of both; the true time lies between the
/// larger of the two and this sum |
struct Objective {
  double per_token = 1;
  double per_active = 0;
  double top_k = 1;                            ///< pairs per token
  double steps = 1;                            ///< steps that a load sums up
  std::optional<double> tokens_per_step = {};  ///< n; absent: the load's own, pairs / top_k / steps

  /// True when cost is load up to a factor, so that any planner of loads plans for it.
  [[nodiscard]] bool counts_tokens_only() const { return per_active == 0; }
};

/// One layer under an objective. `load` must outlive it.
class LayerObjective {
 public:
  LayerObjective(const Objective& objective, std::span<const double> load);

  /// Cost per step of one of `replicas` replicas of an expert.
  [[nodiscard]] double cost(std::size_t expert, std::uint32_t replicas) const;

 private:
  Objective objective_;
  std::span<const double> load_;
  double tokens_ = 0;  ///< n
  double scale_ = 0;   ///< load -> pairs per step
};

/// Cost per step of every rank, [layers, ranks]; with Objective{} the rank loads per step.
/// @throws InputError when shapes disagree or an expert with load has no holder.
[[nodiscard]] RankLoads rank_costs(const LoadMatrix& load, const Placement& placement,
                                   const Objective& objective);

}  // namespace moeshift
