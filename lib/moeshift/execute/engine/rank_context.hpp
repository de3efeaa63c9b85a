// SPDX-License-Identifier: Apache-2.0
// What the parts of one rank's run have in common: whom it works with, where it is, what it found.
#pragma once

#include <string>
#include <vector>

#include "moeshift/execute/engine/waiter.hpp"
#include "moeshift/execute/observer.hpp"
#include "moeshift/execute/shuffle.hpp"

namespace moeshift {

struct RankContext {
  Member& member;
  const ShuffleOptions& options;
  ShuffleObserver& observer;
  RankOutcome& outcome;
  Waiter waiter;
  WaitTopic where = {};  ///< what the rank is at, for failures that do not know
  SteadyClock::time_point start = SteadyClock::now();  ///< common to all ranks once they are ready

  [[nodiscard]] RankId self() const { return member.control->self(); }

  /// Waits for what every rank says. @throws ShuffleFailure.
  [[nodiscard]] std::vector<std::string> gather(const std::string& mine, const WaitTopic& topic,
                                                Seconds allowance) const;
  /// A gather whose values say nothing: all ranks are here.
  void meet(const WaitTopic& topic, Seconds allowance) const;

  /// Writes down and tells that a layer (counted from 0) is there.
  void reach(std::size_t layer, std::size_t wave, bool last_wave, Phase phase) const;
};

}  // namespace moeshift
