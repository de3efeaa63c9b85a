// SPDX-License-Identifier: Apache-2.0
// What every policy that plans layer by layer has in common: checks, threads, verdicts.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "moeshift/plan/layer_problem.hpp"
#include "moeshift/plan/planner.hpp"

namespace moeshift {

/// What one layer's planning comes to.
struct LayerPlan {
  std::vector<ExpertId> slots;  ///< [slots] of the active ranks, rank after rank
  bool keep = false;            ///< the old placement was left alone
  bool hasty = false;           ///< planned in a hurry, see LayerVerdict
  std::uint64_t moves_tried = 0;
  /// A bound that holds for what else was asked (groups kept in nodes); 0 = none.
  double lower_bound = 0;
  double doubled_peak = 0;  ///< see LayerVerdict
  bool bounded = false;     ///< it is no weaker than the quick bounds (lower_bound.hpp)
  std::vector<MoveReason> reasons = {};  ///< ranks as in LayerProblem; assemble() renames them
};

/// Puts planned layers together and judges each: peak, bound, gap, duplicates. A layer without load
/// in this window stays as it is where the old placement has this shape, whatever was planned:
/// otherwise every policy would move it for nothing (the origins of compatible policies do).
[[nodiscard]] PlanResult assemble(const PlanProblem& problem, std::vector<LayerPlan> layers,
                                  Threads threads);

/// Per layer one of several plans of the same problem, `chosen` by index, judged again.
[[nodiscard]] PlanResult combine(const PlanProblem& problem, std::span<const PlanResult> plans,
                                 std::span<const std::size_t> chosen, Threads threads);

/// Replaces the verdicts' quick bounds by tight ones (lower_bound.hpp) and their gaps with them.
/// Milliseconds per layer; for reports, not for serving.
void tighten_bounds(const PlanProblem& problem, Threads threads, PlanResult& result);

/// A policy that plans each layer on its own, in parallel.
class LayeredPlanner : public Planner {
 public:
  [[nodiscard]] PlanResult plan(const PlanProblem& problem, Threads threads,
                                Progress& progress) const override;

 protected:
  [[nodiscard]] virtual LayerPlan plan_layer(const LayerProblem& problem) const = 0;
  /// The same when time has run out: keeps the layer where it can, else plans it as usual, which
  /// policies that search override.
  [[nodiscard]] virtual LayerPlan plan_layer_hastily(const LayerProblem& problem) const;
};

}  // namespace moeshift
