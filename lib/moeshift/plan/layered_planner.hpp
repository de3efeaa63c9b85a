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
  const Topology* topology = nullptr;
  std::size_t slots = 0;
  std::size_t expert_groups = 1;
  /// The experts that each rank of `topology` holds now, [ranks]; empty without an old placement.
  /// A rank that joined holds none.
  std::vector<std::span<const ExpertId>> held;
  LayerId layer;
  std::uint64_t seed = 0;

  [[nodiscard]] std::size_t experts() const { return load.size(); }
  [[nodiscard]] std::size_t ranks() const { return topology->ranks(); }
  [[nodiscard]] std::size_t slots_per_rank() const { return slots / ranks(); }
  /// True when the old placement has exactly this shape, so that it may stay.
  [[nodiscard]] bool can_keep() const;
  /// The old slots, [slots]. Only when `can_keep()`.
  [[nodiscard]] std::vector<ExpertId> kept_slots() const;
};

/// What one layer's planning comes to.
struct LayerPlan {
  std::vector<ExpertId> slots;  ///< [slots], rank after rank
  bool keep = false;            ///< the old placement was left alone
  std::uint64_t moves_tried = 0;
};

/// The layers of `problem`, as views into it.
/// @throws InputError for shapes that no policy can serve.
[[nodiscard]] std::vector<LayerProblem> layers_of(const PlanProblem& problem);

/// Puts planned layers together and judges each: peak, bound, gap, duplicates.
[[nodiscard]] PlanResult assemble(const PlanProblem& problem, std::vector<LayerPlan> layers,
                                  Threads threads);

/// A policy that plans each layer on its own, in parallel.
class LayeredPlanner : public Planner {
 public:
  [[nodiscard]] PlanResult plan(const PlanProblem& problem, Threads threads,
                                Progress& progress) const override;

 protected:
  [[nodiscard]] virtual LayerPlan plan_layer(const LayerProblem& problem) const = 0;
};

}  // namespace moeshift
