// SPDX-License-Identifier: Apache-2.0
// What must have happened before what, in every run: vector clocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "moeshift/schedule/proof/call_graph.hpp"

namespace moeshift {

/// A point in a lane: call k of it begins at 2k + 1 and ends at 2k + 2; 0 is before everything.
struct Moment {
  std::uint32_t lane = 0;
  std::uint32_t time = 0;
};

/// [lanes] the last moment of every lane that has passed for certain.
using Clock = std::vector<std::uint32_t>;

/// Follows a run and knows at each moment what has happened before it in all runs.
///
/// A message may be buffered: that a send has ended says nothing about its receiver, while a
/// receive ends after its send has begun. A meeting ends after all have come. Clocks are kept only
/// as long as somebody may still ask: O(lanes) per lane and call under way.
/// Source: Fidge (1988), Mattern (1989), for the order of Lamport (1978).
class Clocks {
 public:
  explicit Clocks(const CallGraph& graph);

  void began(CallIndex call);
  void ended(CallIndex call);

  /// What has passed for certain when `call`, the latest of its lane, is where it is now.
  [[nodiscard]] const Clock& now(CallIndex call) const { return of_lane_[graph_.calls[call].lane]; }
  /// What had passed when `sender`, not all of whose receivers have ended, began.
  [[nodiscard]] const Clock& when_began(CallIndex sender) const { return *when_began_[sender]; }

  [[nodiscard]] Moment beginning(CallIndex call) const {
    return {graph_.calls[call].lane, 2 * graph_.calls[call].position + 1};
  }
  [[nodiscard]] Moment end(CallIndex call) const {
    return {graph_.calls[call].lane, 2 * graph_.calls[call].position + 2};
  }
  /// Calls that have begun before a moment with this clock.
  [[nodiscard]] static std::size_t calls_before(const Clock& clock);

 private:
  void release(std::vector<std::unique_ptr<Clock>>& clocks, std::vector<std::uint32_t>& readers,
               CallIndex call);
  [[nodiscard]] std::vector<CallIndex> senders_to(CallIndex call) const;

  const CallGraph& graph_;
  std::vector<Clock> of_lane_;
  std::vector<std::unique_ptr<Clock>> when_began_;  ///< [calls] of senders
  std::vector<std::uint32_t> receivers_;            ///< that will still ask
  std::vector<std::unique_ptr<Clock>> when_ended_;  ///< [calls] that other lanes wait for
  std::vector<std::uint32_t> waiters_;
  std::vector<Clock> meetings_;
};

}  // namespace moeshift
