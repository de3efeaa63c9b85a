// SPDX-License-Identifier: Apache-2.0
// What a window of counts says beyond chance, given a placement that was made for earlier load.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "moeshift/plan/layer_problem.hpp"

namespace moeshift {

/// A window beyond chance.
struct BelievedLoad {
  std::vector<double> load;  ///< [experts] tokens, less what chance may have made of them
  /// What the busiest rank must be above what is aimed at, in mean rank loads, before moving pays.
  double worth_moving = 0;
};

/// The layer's load less what chance may have made of it.
///
/// A placement in force is evidence beside the window: for the load that it was made for, ranks
/// were about as even as could be had. In the window they differ by chance, with a variance that is
/// known (below), and by real change. What is chance is estimated over all ranks (empirical Bayes:
/// the mean square of excess over noise, each at most nine times that mean), and every rank's
/// excess is shrunk by that share, but never by more than the largest of so many chance excesses
/// (limited translation, Efron and Morris 1972): what truly changed on a few ranks stays. Loads of
/// experts are then corrected to give these rank loads, where they are least certain most.
///
/// Where chance is less than a fifth of their spread it is no matter, and the load is returned as
/// it is. But with one or two slots ranks cannot all be even, and differ by far more than chance;
/// then only the busy ones are looked at: the lowest level is taken at which they may truly be,
/// those above it being above it by no more than chance, and they are believed to be there, unless
/// that is above the lower bound by three times the largest chance excess.
///
/// The variance of an expert's load is that of counts, load / evidence, and, where there are four
/// windows and more, their dispersion beyond counts (half the mean square of successive
/// differences), over the number of windows. The load is returned as it is, too, where nobody
/// counted (evidence 0) and where ranks differ in speed: who is slow is known, and the placement
/// may not have been made for it.
///
/// Moving has a price of its own: what ranks carry together is better known than what single
/// experts do, so that the next load of a rank whose experts change is less certain, by about the
/// variances of the one that goes and the one that comes. `worth_moving` is what that adds to the
/// busiest of so many ranks.
/// O(256 ranks + 30 slots + windows experts), and the bound.
/// @param placed [slots] the old placement, every expert held.
[[nodiscard]] BelievedLoad believed_load(const LayerProblem& problem,
                                         std::span<const std::uint32_t> placed);

}  // namespace moeshift
