// SPDX-License-Identifier: Apache-2.0
// From a peer's schedule to ours, one feature at a time: what is each of them worth?
#pragma once

#include <cstdint>

#include "moeshift/schedule/peer_schedules.hpp"

namespace moeshift {

/// Each step has all features of those before it.
enum class ScheduleStep : std::uint8_t {
  kPeer,     ///< as the peer does it
  kPacking,  ///< one message per pair and group instead of one per tensor
  kRounds,   ///< full-duplex coloured rounds in one group instead of the peer's batches
  kCopies,   ///< local moves in place instead of through buffers
  kSources,  ///< the nearest holders, their ports balanced, instead of holders by rank order
  kFanOut,   ///< one crossing per node and expert, handed on inside; trees
};

/// A plan for price(), as make_peer_plan() at kPeer and as make_transfer_plan() by default at
/// kFanOut.
/// @throws as those two.
[[nodiscard]] TransferPlan make_step_plan(PeerSchedule peer, ScheduleStep step,
                                          const Placement& old, const Placement& next,
                                          const Topology& topology, const ExpertSizes& sizes,
                                          std::uint32_t tensors_per_expert,
                                          double inter_round_per_intra_round, Threads threads = {});

}  // namespace moeshift
