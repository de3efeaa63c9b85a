// SPDX-License-Identifier: Apache-2.0
// How much more often than by chance do experts go together, and does it last?
#pragma once

#include <cstddef>
#include <vector>

#include "moeshift/routing/route_summary.hpp"

namespace moeshift {

/// Two experts that tokens choose together.
struct ExpertPair {
  std::size_t layer = 0;
  std::size_t a = 0, b = 0;  ///< a < b
  double together = 0;       ///< share of the layer's tokens
  double lift = 1;           ///< times as often as by chance
};

struct LayerLift {
  double mean_best = 1;  ///< lift of an expert's best partner, mean over experts by their tokens
  double above_two = 0;  ///< share of all meetings that are between pairs of lift 2 and more
  /// Correlation over pairs of the log lift in the first half of the windows with that in the
  /// second: 1 = co-activation lasts, 0 = what was seen was chance. 0 also for one window.
  double stability = 0;
};

struct Lift {
  std::vector<LayerLift> layers;  ///< [layers]
  std::vector<ExpertPair> pairs;  ///< the strongest of all layers, strongest first
};

/// Chance is what experts as popular as these would do if each token chose among them
/// independently: in proportion to the product of their tokens, scaled so that all pairs together
/// meet as often as they do. Counts are taken one larger on both sides, so that rare pairs do not
/// win by luck. O(layers E^2 log(most_pairs)).
/// @param most_pairs to list, each with at least a thousandth of its layer's tokens.
[[nodiscard]] Lift lift_of(const RouteSummary& routes, std::size_t most_pairs);

}  // namespace moeshift
