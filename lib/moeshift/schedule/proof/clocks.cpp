// SPDX-License-Identifier: Apache-2.0
#include "moeshift/schedule/proof/clocks.hpp"

#include <algorithm>

namespace moeshift {
namespace {

void join(Clock& clock, const Clock& other) {
  for (std::size_t i = 0; i < clock.size(); ++i) clock[i] = std::max(clock[i], other[i]);
}

/// Calls of other lanes that wait for the end of this one.
std::uint32_t waiters_of(const CallGraph& graph, CallIndex call) {
  const auto followers = graph.followers.of(call);
  return static_cast<std::uint32_t>(std::count_if(
      followers.begin(), followers.end(),
      [&](CallIndex follower) { return graph.calls[follower].lane != graph.calls[call].lane; }));
}

}  // namespace

Clocks::Clocks(const CallGraph& graph)
    : graph_(graph),
      of_lane_(graph.lanes, Clock(graph.lanes, 0)),
      when_began_(graph.calls.size()),
      receivers_(graph.calls.size(), 0),
      when_ended_(graph.calls.size()),
      waiters_(graph.calls.size(), 0),
      meetings_(graph.meetings.size()) {
  for (CallIndex call = 0; call < graph.calls.size(); ++call) {
    for (const CallIndex sender : senders_to(call)) ++receivers_[sender];
    waiters_[call] = waiters_of(graph, call);
  }
}

std::vector<CallIndex> Clocks::senders_to(CallIndex call) const {
  std::vector<CallIndex> senders;
  for (const std::uint32_t message : graph_.received_by(call)) {
    senders.push_back(graph_.messages[message].sender);
  }
  std::sort(senders.begin(), senders.end());
  senders.erase(std::unique(senders.begin(), senders.end()), senders.end());
  return senders;
}

void Clocks::release(std::vector<std::unique_ptr<Clock>>& clocks,
                     std::vector<std::uint32_t>& readers, CallIndex call) {
  if (--readers[call] == 0) clocks[call].reset();
}

void Clocks::began(CallIndex call) {
  const std::uint32_t lane = graph_.calls[call].lane;
  Clock& clock = of_lane_[lane];
  for (const CallIndex before : graph_.waits_for.of(call)) {
    if (graph_.calls[before].lane == lane) continue;
    join(clock, *when_ended_[before]);
    release(when_ended_, waiters_, before);
  }
  clock[lane] = beginning(call).time;
  if (receivers_[call] > 0) when_began_[call] = std::make_unique<Clock>(clock);
  const std::uint32_t meeting = graph_.meeting_of[call];
  if (meeting == CallGraph::kNoMeeting) return;
  if (meetings_[meeting].empty()) meetings_[meeting].assign(graph_.lanes, 0);
  join(meetings_[meeting], clock);
}

void Clocks::ended(CallIndex call) {
  const std::uint32_t lane = graph_.calls[call].lane;
  Clock& clock = of_lane_[lane];
  for (const CallIndex sender : senders_to(call)) {
    join(clock, *when_began_[sender]);
    release(when_began_, receivers_, sender);
  }
  const std::uint32_t meeting = graph_.meeting_of[call];
  if (meeting != CallGraph::kNoMeeting) {
    join(clock, meetings_[meeting]);
    if (call == graph_.meetings[meeting].back()) Clock().swap(meetings_[meeting]);
  }
  clock[lane] = end(call).time;
  if (waiters_[call] > 0) when_ended_[call] = std::make_unique<Clock>(clock);
}

std::size_t Clocks::calls_before(const Clock& clock) {
  std::size_t calls = 0;
  for (const std::uint32_t time : clock) calls += (time + 1) / 2;
  return calls;
}

}  // namespace moeshift
