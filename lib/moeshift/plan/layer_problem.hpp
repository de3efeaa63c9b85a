// SPDX-License-Identifier: Apache-2.0
// One layer of a plan's question, and what every policy may ask of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "moeshift/core/progress.hpp"
#include "moeshift/cost/balance.hpp"
#include "moeshift/plan/planner.hpp"
#include "moeshift/plan/survive.hpp"

namespace moeshift {

/// One layer of a PlanProblem.
struct LayerProblem {
  std::span<const double> load;                  ///< [experts] tokens
  std::vector<std::span<const double>> samples;  ///< the same for every window, oldest first
  /// The node of every active rank, ascending; ranks here are active ones, numbered from 0.
  std::vector<std::uint32_t> node_of;
  std::vector<double> speed = {};  ///< [ranks] in units of the mean; empty = alike
  std::size_t nodes = 1;           ///< nodes that have an active rank
  std::size_t slots_per_rank = 0;
  std::size_t expert_groups = 1;
  /// The experts that each rank holds now, [ranks]; empty without an old placement. A rank that
  /// joined holds none.
  std::vector<std::span<const ExpertId>> held;
  double evidence = 0;  ///< tokens counted for each of `load`; 0: loads are no counts
  LayerId layer;
  std::uint64_t seed = 0;
  Survive survive = {};
  const Progress* progress = nullptr;  ///< asked whether to stop; null = nobody to ask

  /// Time is up, or the user asked to stop: whoever searches ends with the best that it has.
  [[nodiscard]] bool stopped() const { return progress != nullptr && progress->interrupted(); }
  [[nodiscard]] std::size_t experts() const { return load.size(); }
  [[nodiscard]] std::size_t ranks() const { return node_of.size(); }
  [[nodiscard]] std::size_t slots() const { return slots_per_rank * ranks(); }
  [[nodiscard]] Exposure exposure() const { return {survive, node_of, slots_per_rank, experts()}; }
  /// True when every node has as many active ranks as every other.
  [[nodiscard]] bool even_nodes() const;
  /// True when the old placement has exactly this shape and survives what it must, so that it may
  /// stay.
  [[nodiscard]] bool can_keep() const;
  /// The old slots, [slots]. Only when `can_keep()`.
  [[nodiscard]] std::vector<ExpertId> kept_slots() const;
};

/// The layers of `problem`, as views into it. Of an old placement with more slots per rank, empty
/// ones at the end of every rank are left out.
/// @param progress outlives them; may be null.
/// @throws InputError for shapes that no policy can serve.
[[nodiscard]] std::vector<LayerProblem> layers_of(const PlanProblem& problem,
                                                  const Progress* progress = nullptr);

/// The ranks of `problem` that hold something, ascending.
[[nodiscard]] std::vector<RankId> active_ranks(const PlanProblem& problem);
/// Their speeds in units of their mean; empty = alike.
[[nodiscard]] std::vector<double> active_speeds(const PlanProblem& problem);
/// Loads of all ranks as times, in tokens that an active rank of mean speed computes meanwhile.
[[nodiscard]] RankLoads active_times(const PlanProblem& problem, RankLoads loads);

/// @throws InfeasibleError unless replicas of an expert can all be on different ranks.
void check_distinct_feasible(const LayerProblem& problem);

/// Load of the busiest rank under even dispatch, over its speed. @pre every slot holds an expert.
[[nodiscard]] double peak_of(const LayerProblem& problem, std::span<const ExpertId> slots);

/// A bound on tokens as one on times: the fastest rank takes that little for them, and together the
/// ranks take the mean.
/// @param speed [ranks] in units of the mean, or empty. @param mean tokens per rank.
[[nodiscard]] double bound_on_times(std::span<const double> speed, double mean,
                                    double bound_on_tokens);

/// Loads with a trace of noise-free weight on every expert, so that idle experts are placed too
/// and sort last; all ones when nothing has load.
[[nodiscard]] std::vector<double> positive_load(std::span<const double> load);

}  // namespace moeshift
