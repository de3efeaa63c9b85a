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

#include "moeshift/judge/layer_outlook.hpp"
#include "moeshift/simulate/backtest.hpp"
#include "moeshift/simulate/objectives.hpp"

namespace moeshift {

/// What the busiest of `ranks` ranks gets over the mean although all are equally likely, for
/// `pairs_per_rank` (token, expert) pairs each: 1 + sqrt(2 ln G / n). No placement balances a step
/// better than this on average.
[[nodiscard]] double noise_floor(std::size_t ranks, double pairs_per_rank);

enum class Advice : std::uint8_t { kLeaveOff, kStaticPlan, kDynamic };

/// "leave off", "static plan", "dynamic".
[[nodiscard]] std::string_view name_of(Advice advice);

/// How a habit did against never rebalancing.
struct HabitOutcome {
  std::size_t lane = 0;     ///< of the backtest
  PairedDifference saving;  ///< mean step seconds: never - this; > 0 is good
  Seconds rearrangement;    ///< that serving lost per rearrangement; 0 without
};

/// What a plan saved on loads that it was not made from, as shares of the step time.
struct HeldOut {
  double mean = 0;
  double low = 0;  ///< over all halvings
  double high = 0;
  std::size_t halvings = 0;
};

struct DiagnosisOptions {
  double worthwhile = 0.03;  ///< share of the step time that more trouble must save
  /// From which balancedness on (without rebalancing, mean over steps and layers) the reasons call
  /// the ranks balanced. It has no say in the verdict.
  double balanced = 0.9;
  std::uint64_t seed = 0;
};

struct Diagnosis {
  Advice advice = Advice::kLeaveOff;
  std::optional<std::size_t> lane;  ///< of the backtest: the habit that is advised; none: never
  /// The intervals exclude the other verdicts; else the verdict is what the means make likely.
  bool firm = false;
  std::size_t windows = 0;              ///< blocks of recordings that savings were measured on
  std::optional<double> saving_share;   ///< of the advice, of the step time without rebalancing
  std::vector<HabitOutcome> outcomes;   ///< of all lanes but the first
  std::optional<double> ageing;         ///< seconds per step that a plan loses per step of age
  std::optional<double> best_interval;  ///< steps: sqrt(2 C / a), C exposed seconds, a ageing
  std::optional<HeldOut> held_out;      ///< of a single recording (single_recording.hpp)
  std::vector<ObjectiveOutcome> objectives;  ///< empty unless the backtest has lanes for them
  std::vector<std::string> reasons;          ///< most important first
};

/// Judges the lanes of `backtest`, in its order, by what they measured: means of out-of-sample step
/// times, paired by blocks of recordings. Saving s = never - habit, w = `worthwhile` of never:
/// - leave off when even the best habit has s < w, or 0 is in its interval;
/// - a static plan when planning once has s >= w beyond chance, and no habit of planning again is
///   better than that by w beyond chance;
/// - else dynamic, on the longest interval that is behind the best one by less than w / 3 and maybe
///   by chance.
/// Firm: leave off when every habit's interval lies below w; a static plan when its interval lies
/// above w and what every other habit adds lies below; dynamic when its interval lies above w, and
/// what it adds to one plan does too or one plan lies below. Never from fewer than kFewestPairs
/// windows, where the means alone speak.
[[nodiscard]] Diagnosis diagnose(std::span<const BacktestLane> lanes,
                                 const DiagnosisOptions& options = {});

}  // namespace moeshift
