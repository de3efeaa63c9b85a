// SPDX-License-Identifier: Apache-2.0
// Rearrangements by ranks that have joined already: what the cost model is made from and judged by.
#pragma once

#include <functional>
#include <vector>

#include "moeshift/execute/shuffle.hpp"

namespace moeshift {

/// One job with its options; its `back` may lead on to further placements.
struct Rehearsal {
  ShuffleJob job;
  ShuffleOptions options;
};

struct RehearsedTimes {
  std::vector<Seconds> totals;  ///< of every repetition, the slowest rank's
  std::vector<Seconds> steps;   ///< of the load, undisturbed; empty without one
  bool verified = false;        ///< every byte, on all ranks
};

/// Carries it out; all ranks call it together. Its memory stays taken as long as the member lives.
/// @throws ShuffleFailure when a rank fails, InfeasibleError when memory runs out.
[[nodiscard]] RehearsedTimes rehearse(Member& member, const Rehearsal& rehearsal);

}  // namespace moeshift
