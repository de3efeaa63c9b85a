// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/engine/rank_context.hpp"

namespace moeshift {

std::vector<std::string> RankContext::gather(const std::string& mine, const WaitTopic& topic,
                                             Seconds allowance) const {
  const auto gathering = member.control->all_gather(mine);
  waiter.until(*gathering, topic, Deadline::in(allowance));
  return gathering->values();
}

void RankContext::meet(const WaitTopic& topic, Seconds allowance) const {
  static_cast<void>(gather({}, topic, allowance));
}

void RankContext::reach(std::size_t layer, std::size_t wave, bool last_wave, Phase phase) const {
  LayerOutcome& reached = outcome.layers[layer];
  reached.phase = phase;
  observer.reached({.rank = self(),
                    .layer = reached.layer,
                    .wave = wave,
                    .last_wave = last_wave,
                    .phase = phase,
                    .epoch = reached.epoch});
}

}  // namespace moeshift
