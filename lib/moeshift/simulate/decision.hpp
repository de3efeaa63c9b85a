// SPDX-License-Identifier: Apache-2.0
// Is it worth moving now, and which layers?
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "moeshift/core/units.hpp"
#include "moeshift/cost/serving_model.hpp"
#include "moeshift/forecast/forecaster.hpp"
#include "moeshift/simulate/mode.hpp"
#include "moeshift/simulate/rearrangement_work.hpp"

namespace moeshift {

struct DecisionRule {
  std::uint64_t interval = 1000;       ///< steps between decisions
  std::optional<std::uint64_t> first;  ///< the first one; absent = after one interval
  /// Only when the balancedness of the present placement is below this (SGLang
  /// --eplb-min-rebalancing-utilization-threshold): of the forecast, or, when `served_steps` is not
  /// 0, the mean over so many last steps of what each was served with, as SGLang has it. The first
  /// ignores the noise of single steps, the second counts it.
  std::optional<double> min_balancedness;
  std::size_t served_steps = 0;
  /// Only when the forecast imbalance is this much (relative) above what the last plan promised.
  double hysteresis = 0;
  /// Each layer only when its gain over `horizon` is at least this many times its cost; absent =
  /// whatever the policy says moves (vLLM, SGLang).
  std::optional<double> min_gain_over_cost;
  std::optional<std::uint64_t> horizon;  ///< steps; absent = the interval
};

/// How a placement would serve a load.
struct Outlook {
  std::vector<Seconds> layer_seconds;  ///< [layers]
  double balancedness = 1;             ///< mean over layers of mean / max rank load
  double imbalance = 1;                ///< sum over layers of max / sum of mean rank load

  [[nodiscard]] Seconds total() const;
};

[[nodiscard]] Outlook outlook_of(const LoadMatrix& load, const std::vector<LayerDispatch>& dispatch,
                                 const ServingModel& model);

/// Keeps the layers of `work` whose gain over the horizon pays for what serving will feel of them:
/// everything when the world stops, votes, commits and the contention of staging otherwise.
/// @param slowdown share of staging time that serving loses to it, 1 - alone / contended.
[[nodiscard]] RearrangementWork worthwhile(RearrangementWork work, const Outlook& now,
                                           const Outlook& then, const ModeOptions& mode,
                                           const DecisionRule& rule, double slowdown);

}  // namespace moeshift
