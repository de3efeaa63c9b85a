// SPDX-License-Identifier: Apache-2.0
// Is rebalancing worth it here? A verdict with its reasons, from a backtest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "moeshift/simulate/backtest.hpp"

namespace moeshift {

/// What the busiest of `ranks` ranks gets over the mean although all are equally likely, for
/// `pairs_per_rank` (token, expert) pairs each: 1 + sqrt(2 ln G / n). No placement balances a step
/// better than this on average.
[[nodiscard]] double noise_floor(std::size_t ranks, double pairs_per_rank);

/// Rank imbalance (max / mean) of one layer, on all steps together.
struct LayerOutlook {
  double now = 1;           ///< initial placement
  double without = 1;       ///< best found in the slots that it has without rebalancing
  double with_slots = 1;    ///< best found with all slots
  double lower_bound = 1;   ///< certified, all slots
  double excess_share = 0;  ///< of the busiest ranks' avoidable tokens over all layers
};

/// Plans with hindsight: what a placement could reach if the mean were all there is.
/// @param load summed over all steps. @param without the placement without rebalancing.
/// @param slots with it. @param planner one that needs no old placement.
/// @throws what the planner throws.
[[nodiscard]] std::vector<LayerOutlook> layer_outlooks(
    const LoadMatrix& load, const Placement& without, std::size_t slots, const Topology& topology,
    std::size_t expert_groups, const Planner& planner, Threads threads, Progress& progress);

/// The fewest layers that have `share` of all avoidable tokens, worst first.
[[nodiscard]] std::vector<LayerId> layers_that_matter(std::span<const LayerOutlook> layers,
                                                      double share = 0.8);

enum class Advice : std::uint8_t { kLeaveOff, kStaticPlan, kDynamic };

/// "leave off", "static plan", "dynamic".
[[nodiscard]] std::string_view name_of(Advice advice);

/// How a habit did against never rebalancing.
struct HabitOutcome {
  std::size_t lane = 0;     ///< of the backtest
  PairedDifference saving;  ///< mean step seconds: never - this; > 0 is good
  Seconds rearrangement;    ///< that serving lost per rearrangement; 0 without
};

struct DiagnosisOptions {
  double worthwhile = 0.03;  ///< share of the step time that more trouble must save
  /// Ranks that are this even without rebalancing are left alone (balancedness, mean over steps and
  /// layers): what is left to gain is little, and a model that drifts into skew shows up here.
  double balanced = 0.9;
  std::uint64_t seed = 0;
};

struct Diagnosis {
  Advice advice = Advice::kLeaveOff;
  std::optional<std::size_t> lane;  ///< of the backtest: the habit that is advised; none: never
  bool firm = false;  ///< the backtest leaves no doubt; else the verdict is what it makes likely
  std::vector<HabitOutcome> outcomes;   ///< of all lanes but the first
  std::optional<double> ageing;         ///< seconds per step that a plan loses per step of age
  std::optional<double> best_interval;  ///< steps: sqrt(2 C / a), C exposed seconds, a ageing
  std::vector<std::string> reasons;     ///< most important first
};

/// Judges the lanes of `backtest`, in its order. Means of out-of-sample step times, paired by
/// blocks of steps:
/// - leave off when ranks are `balanced` anyway, when even the best habit saves less than
/// `worthwhile`, or its saving may be chance;
/// - a static plan when no dynamic habit is certainly better than planning once, by `worthwhile`
///   again;
/// - else dynamic, on the longest interval that the best one is not certainly better than.
[[nodiscard]] Diagnosis diagnose(std::span<const BacktestLane> lanes,
                                 const DiagnosisOptions& options = {});

}  // namespace moeshift
