// SPDX-License-Identifier: Apache-2.0
// How much of the past still holds: what several windows say of the next one, chosen by a backtest.
#pragma once

#include <span>
#include <vector>

#include "moeshift/core/parallel.hpp"
#include "moeshift/model/load.hpp"

namespace moeshift {

/// Windows as they bear on the next one.
struct WindowReading {
  /// How much of the newest window the level takes over; 0: all windows count alike.
  double newest = 0;
  LoadMatrix level;                   ///< [layers, experts] tokens of a mean window
  std::vector<LoadMatrix> scenarios;  ///< [windows] what may come, around the level
};

/// Where load stands now, and how it fluctuates around that.
///
/// The level is the mean of all windows or an average that forgets (newest = 0.25 to 1, the newest
/// alone), whichever would have forecast each of the windows best from those before it: by
/// the share of a layer's tokens that came elsewhere than forecast, over all layers, old tries
/// fading by a tenth each. What forgets more follows noise and costs a planner moves, so it must
/// have been closer by a little (newest alone: by 5 %). Steady traffic is read as its mean,
/// traffic that changed abruptly and stays as its newest window.
///
/// Each scenario is the level times what a window was over what would have been expected of it: the
/// mean of all, or, of a level that forgets, the level before it, so that a change long past is no
/// part of every scenario; a window that missed by 2.5 medians is a change itself, and counts as
/// expected. Elementwise; the mean over scenarios is the level. A window without tokens in a layer
/// says nothing of it. Deterministic. O(windows layers experts).
/// @param windows at least one, oldest first, of one shape.
[[nodiscard]] WindowReading read_windows(std::span<const LoadMatrix> windows,
                                         Threads threads = Threads{1});

}  // namespace moeshift
