// SPDX-License-Identifier: Apache-2.0
#include "moeshift/schedule/proof/execution.hpp"

#include <algorithm>
#include <deque>
#include <limits>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

class Runner {
 public:
  Runner(const CallGraph& graph, ExecutionObserver& observer)
      : graph_(graph),
        observer_(observer),
        waits_(graph.calls.size()),
        alone_(graph.calls.size()),
        absent_(graph.meetings.size()) {
    execution_.began.assign(graph.calls.size(), false);
    execution_.ended.assign(graph.calls.size(), false);
    for (CallIndex call = 0; call < graph.calls.size(); ++call) {
      waits_[call] = graph.waits_for.of(call).size();
      alone_[call] = graph.partners.of(call).size();
    }
    for (std::size_t m = 0; m < absent_.size(); ++m) absent_[m] = graph.meetings[m].size();
  }

  Execution run() {
    for (CallIndex call = 0; call < graph_.calls.size(); ++call) {
      if (waits_[call] == 0) ready_.push_back(call);
    }
    while (!ready_.empty()) {
      const CallIndex call = ready_.front();
      ready_.pop_front();
      begin(call);
    }
    return std::move(execution_);
  }

 private:
  void begin(CallIndex call) {
    execution_.began[call] = true;
    observer_.began(call);
    for (const CallIndex partner : graph_.partners.of(call)) {
      if (--alone_[partner] == 0 && partner != call && execution_.began[partner]) end(partner);
    }
    const std::uint32_t meeting = graph_.meeting_of[call];
    if (meeting != CallGraph::kNoMeeting) {
      if (--absent_[meeting] > 0) return;
      for (const CallIndex other : graph_.meetings[meeting]) end(other);
      return;
    }
    if (alone_[call] == 0) end(call);
  }

  void end(CallIndex call) {
    execution_.ended[call] = true;
    observer_.ended(call);
    for (const CallIndex follower : graph_.followers.of(call)) {
      if (--waits_[follower] == 0) ready_.push_back(follower);
    }
  }

  const CallGraph& graph_;
  ExecutionObserver& observer_;
  std::vector<std::size_t> waits_;   ///< calls of its rank that have not ended
  std::vector<std::size_t> alone_;   ///< partners that have not begun
  std::vector<std::size_t> absent_;  ///< [meetings] who has not come
  std::deque<CallIndex> ready_;
  Execution execution_;
};

/// What a call that has not ended waits for, among what has not.
std::vector<CallIndex> blockers(const CallGraph& graph, const Execution& execution,
                                CallIndex call) {
  std::vector<CallIndex> result;
  if (!execution.began[call]) {
    for (const CallIndex before : graph.waits_for.of(call)) {
      if (!execution.ended[before]) result.push_back(before);
    }
    return result;
  }
  for (const CallIndex partner : graph.partners.of(call)) {
    if (!execution.began[partner]) result.push_back(partner);
  }
  if (graph.meeting_of[call] != CallGraph::kNoMeeting) {
    for (const CallIndex other : graph.meetings[graph.meeting_of[call]]) {
      if (!execution.began[other]) result.push_back(other);
    }
  }
  return result;
}

constexpr CallIndex kNobody = std::numeric_limits<CallIndex>::max();

/// The shortest way from a call back to itself; empty if there is none shorter than `limit`.
std::vector<CallIndex> circle_through(const CallGraph& graph, const Execution& execution,
                                      CallIndex start, std::size_t limit,
                                      std::vector<CallIndex>& came_from) {
  std::vector<CallIndex> reached = {start};
  std::vector<CallIndex> circle;
  std::size_t depth = 0;
  for (std::size_t from = 0; from < reached.size() && circle.empty() && depth + 1 < limit;
       ++depth) {
    const std::size_t to = reached.size();
    for (; from < to && circle.empty(); ++from) {
      for (const CallIndex next : blockers(graph, execution, reached[from])) {
        if (next == start) {
          for (CallIndex at = reached[from]; at != start; at = came_from[at]) circle.push_back(at);
          circle.push_back(start);
          std::reverse(circle.begin(), circle.end());
          break;
        }
        if (came_from[next] != kNobody) continue;
        came_from[next] = reached[from];
        reached.push_back(next);
      }
    }
  }
  for (const CallIndex call : reached) came_from[call] = kNobody;
  return circle;
}

std::vector<CallIndex> shortest_circle(const CallGraph& graph, const Execution& execution) {
  constexpr std::size_t kMostStarts = 512;
  std::vector<CallIndex> best;
  std::vector<CallIndex> came_from(graph.calls.size(), kNobody);
  std::size_t starts = 0;
  for (CallIndex call = 0; call < graph.calls.size(); ++call) {
    if (!execution.began[call] || execution.ended[call]) continue;
    if (starts >= kMostStarts && !best.empty()) break;
    ++starts;
    const std::size_t limit = best.empty() ? graph.calls.size() + 1 : best.size();
    auto circle = circle_through(graph, execution, call, limit, came_from);
    if (!circle.empty()) best = std::move(circle);
  }
  return best;
}

}  // namespace

bool Execution::complete() const {
  return std::all_of(ended.begin(), ended.end(), [](bool done) { return done; });
}

Execution execute(const CallGraph& graph, ExecutionObserver& observer) {
  return Runner(graph, observer).run();
}

Finding explain_deadlock(const OperationLists& lists, const CallGraph& graph,
                         const Execution& execution) {
  Finding finding;
  finding.kind = FindingKind::kDeadlock;
  const std::vector<CallIndex> circle = shortest_circle(graph, execution);
  MOESHIFT_CHECK(!circle.empty());
  std::set<RankId> ranks;
  for (std::size_t i = 0; i < circle.size(); ++i) {
    const CallIndex call = circle[i];
    const CallIndex next = circle[(i + 1) % circle.size()];
    ranks.insert(graph.calls[call].rank);
    const std::string what = describe(lists, graph, call);
    finding.timeline.push_back(step_of(
        lists, graph, call,
        execution.began[call]
            ? fmt::format("{} has begun, and waits for rank {} to begin {}", what,
                          graph.calls[next].rank.value(), describe(lists, graph, next))
            : fmt::format("{} has not: it comes after {}", what, describe(lists, graph, next))));
    finding.calls_before += graph.calls[call].position;
  }
  finding.rank = graph.calls[circle.front()].rank;
  for (const CallIndex call : circle) {
    if (finding.layer.is_none()) finding.layer = graph.operation(lists, call).layer;
  }
  finding.text = fmt::format("{} rank{} wait for each other for ever, in {}", ranks.size(),
                             ranks.size() == 1 ? "" : "s", describe(lists, graph, circle.front()));
  return finding;
}

}  // namespace moeshift
