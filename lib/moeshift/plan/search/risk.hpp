// SPDX-License-Identifier: Apache-2.0
// How several windows become one number.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace moeshift {

/// What a robust plan minimises over the windows' peaks (max over ranks / mean over ranks).
struct Risk {
  enum class Kind { kMean, kCvar, kWorst };
  Kind kind = Kind::kMean;
  double alpha = 0;  ///< kCvar: the mean of the worst (1 - alpha) share of windows

  bool operator==(const Risk&) const = default;
};

/// "mean", "cvar:0.9" or "worst".
/// @throws InputError for anything else; alpha must be in [0, 1).
[[nodiscard]] Risk risk_named(const std::string& name);

/// The weight of every window in the risk of `peaks`; they sum to 1. The risk itself is the
/// weighted sum: for CVaR this is the Rockafellar-Uryasev optimum, the boundary window in part.
[[nodiscard]] std::vector<double> risk_weights(const Risk& risk, std::span<const double> peaks);

}  // namespace moeshift
