// SPDX-License-Identifier: Apache-2.0
// What every policy that plans layer by layer has in common: checks, threads, verdicts.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "moeshift/plan/planner.hpp"

namespace moeshift {

/// One layer of a PlanProblem.
struct LayerProblem {
  std::span<const double> load;                  ///< [experts] tokens
  std::vector<std::span<const double>> samples;  ///< the same for every window, oldest first
  /// The node of every active rank, ascending; ranks here are active ones, numbered from 0.
  std::vector<std::uint32_t> node_of;
  std::size_t nodes = 1;  ///< nodes that have an active rank
  std::size_t slots_per_rank = 0;
  std::size_t expert_groups = 1;
  /// The experts that each rank holds now, [ranks]; empty without an old placement. A rank that
  /// joined holds none.
  std::vector<std::span<const ExpertId>> held;
  LayerId layer;
  std::uint64_t seed = 0;
  Survive survive = {};

  [[nodiscard]] std::size_t experts() const { return load.size(); }
  [[nodiscard]] std::size_t ranks() const { return node_of.size(); }
  [[nodiscard]] std::size_t slots() const { return slots_per_rank * ranks(); }
  /// True when every node has as many active ranks as every other.
  [[nodiscard]] bool even_nodes() const;
  /// True when the old placement has exactly this shape and survives what it must, so that it may
  /// stay.
  [[nodiscard]] bool can_keep() const;
  /// The old slots, [slots]. Only when `can_keep()`.
  [[nodiscard]] std::vector<ExpertId> kept_slots() const;
};

/// What one layer's planning comes to.
struct LayerPlan {
  std::vector<ExpertId> slots;  ///< [slots] of the active ranks, rank after rank
  bool keep = false;            ///< the old placement was left alone
  bool hasty = false;           ///< planned in a hurry, see LayerVerdict
  std::uint64_t moves_tried = 0;
  /// A bound that holds for what else was asked (groups kept in nodes); 0 = none.
  double lower_bound = 0;
  bool bounded = false;  ///< it is no weaker than the quick bounds (lower_bound.hpp)
  std::vector<MoveReason> reasons = {};  ///< ranks as in LayerProblem; assemble() renames them
};

/// The layers of `problem`, as views into it. Of an old placement with more slots per rank, empty
/// ones at the end of every rank are left out.
/// @throws InputError for shapes that no policy can serve.
[[nodiscard]] std::vector<LayerProblem> layers_of(const PlanProblem& problem);

/// Puts planned layers together and judges each: peak, bound, gap, duplicates.
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
