// SPDX-License-Identifier: Apache-2.0
#include "moeshift/schedule/proof/call_graph.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "moeshift/schedule/proof/matching.hpp"

namespace moeshift {
namespace {

using Calls = std::vector<CallIndex>;
using Edges = std::vector<std::pair<CallIndex, CallIndex>>;

void add_all(Calls& to, const Calls& from) {
  to.insert(to.end(), from.begin(), from.end());
}

/// Turns the list of one rank into calls, lanes and what waits for what.
class RankLowering {
 public:
  RankLowering(const OperationLists& lists, RankId rank, CallGraph& graph, Edges& edges,
               FindingLog& findings)
      : lists_(lists),
        rank_(rank),
        graph_(graph),
        edges_(edges),
        findings_(findings),
        streams_(lists.streams.size()),
        beside_(lists.communicators.size()),
        last_of_communicator_(lists.communicators.size()),
        events_(lists.events.size()) {}

  void lower() {
    const auto& list = lists_.of_rank[rank_];
    for (std::uint32_t i = 0; i < list.size(); ++i) lower(list[i], i);
  }

 private:
  /// A stream, or a lane beside the streams.
  struct Lane {
    std::optional<std::uint32_t> id;
    std::optional<CallIndex> last;
    Calls pending;  ///< what the next call waits for besides
  };

  void lower(const Operation& operation, std::uint32_t index) {
    Lane& stream = streams_[operation.stream];
    switch (operation.kind) {
      case OperationKind::kRecord:
        return record(operation, stream);
      case OperationKind::kWait:
        return wait(operation, stream);
      case OperationKind::kSynchronize:
        return synchronize();
      case OperationKind::kCopy:
        place(operation, index, stream);
        return;
      case OperationKind::kMeeting:
      case OperationKind::kExchange:
        return communicate(operation, index, stream);
    }
  }

  /// Everything that the stream has been given so far.
  static Calls so_far(const Lane& lane) {
    Calls calls = lane.pending;
    if (lane.last) calls.push_back(*lane.last);
    return calls;
  }

  void record(const Operation& operation, const Lane& stream) {
    events_[operation.event] = so_far(stream);
  }

  void wait(const Operation& operation, Lane& stream) {
    const auto& event = events_[operation.event];
    if (event) return add_all(stream.pending, *event);
    if (!findings_.count(FindingKind::kNeverRecorded)) return;
    Finding finding;
    finding.kind = FindingKind::kNeverRecorded;
    finding.rank = rank_;
    finding.layer = operation.layer;
    finding.text = fmt::format(
        "rank {} waits for event '{}' on stream '{}', and nothing has recorded it by then: "
        "the wait lets everything pass",
        rank_.value(), lists_.events[operation.event], lists_.streams[operation.stream]);
    finding.timeline = {{rank_, lists_.streams[operation.stream],
                         fmt::format("waits for '{}': not recorded, does not wait",
                                     lists_.events[operation.event])}};
    findings_.keep(std::move(finding));
  }

  void synchronize() {
    Calls all;
    for (const auto* lanes : {&streams_, &beside_}) {
      for (const Lane& lane : *lanes) add_all(all, so_far(lane));
    }
    for (Lane& lane : streams_) lane.pending = all;
  }

  /// Calls on one communicator run in the order of issue, also those of several streams.
  void communicate(const Operation& operation, std::uint32_t index, Lane& stream) {
    auto& last = last_of_communicator_[operation.communicator];
    Lane* lane = &stream;
    if (operation.runs_beside()) {
      lane = &beside_[operation.communicator];
      add_all(lane->pending, so_far(stream));
    }
    if (last) lane->pending.push_back(*last);
    const CallIndex call = place(operation, index, *lane);
    last = call;
    if (operation.runs_beside()) events_[operation.event] = Calls{call};
  }

  CallIndex place(const Operation& operation, std::uint32_t index, Lane& lane) {
    if (!lane.id) {
      lane.id = static_cast<std::uint32_t>(graph_.lanes++);
      graph_.stream_of_lane.push_back(operation.stream);
      graph_.of_lane.emplace_back();
    }
    const auto call = static_cast<CallIndex>(graph_.calls.size());
    auto& calls = graph_.of_lane[*lane.id];
    graph_.calls.push_back({rank_, index, *lane.id, static_cast<std::uint32_t>(calls.size())});
    calls.push_back(call);
    for (const CallIndex before : so_far(lane)) edges_.emplace_back(call, before);
    lane.pending.clear();
    lane.last = call;
    return call;
  }

  const OperationLists& lists_;
  RankId rank_;
  CallGraph& graph_;
  Edges& edges_;
  FindingLog& findings_;
  std::vector<Lane> streams_;
  std::vector<Lane> beside_;
  std::vector<std::optional<CallIndex>> last_of_communicator_;
  std::vector<std::optional<Calls>> events_;
};

void index_messages(CallGraph& graph) {
  const auto index = [&](std::vector<std::uint32_t>& first, std::vector<std::uint32_t>& ids,
                         CallIndex MatchedMessage::* end) {
    first.assign(graph.calls.size() + 1, 0);
    for (const MatchedMessage& message : graph.messages) ++first[message.*end + 1];
    for (std::size_t i = 1; i < first.size(); ++i) first[i] += first[i - 1];
    ids.resize(graph.messages.size());
    std::vector<std::uint32_t> at(first.begin(), first.end() - 1);
    for (std::uint32_t i = 0; i < graph.messages.size(); ++i) {
      ids[at[graph.messages[i].*end]++] = i;
    }
  };
  index(graph.first_sent, graph.sent, &MatchedMessage::sender);
  index(graph.first_received, graph.received, &MatchedMessage::receiver);
}

Edges partner_edges(const CallGraph& graph) {
  Edges edges;
  for (const MatchedMessage& message : graph.messages) {
    edges.emplace_back(message.sender, message.receiver);
    edges.emplace_back(message.receiver, message.sender);
  }
  return edges;
}

}  // namespace

void Adjacency::build(std::size_t nodes, Edges edges) {
  std::sort(edges.begin(), edges.end());
  edges.erase(std::unique(edges.begin(), edges.end()), edges.end());
  first_.assign(nodes + 1, 0);
  to_.clear();
  to_.reserve(edges.size());
  for (const auto& [from, to] : edges) {
    ++first_[from + 1];
    to_.push_back(to);
  }
  for (std::size_t i = 1; i < first_.size(); ++i) first_[i] += first_[i - 1];
}

CallGraph graph_of(const OperationLists& lists, const ProofRules& rules, FindingLog& findings) {
  CallGraph graph;
  Edges waits;
  for (const RankId rank : lists.of_rank.ids()) {
    RankLowering(lists, rank, graph, waits, findings).lower();
  }
  Edges followers;
  followers.reserve(waits.size());
  for (const auto& [call, before] : waits) followers.emplace_back(before, call);
  graph.waits_for.build(graph.calls.size(), std::move(waits));
  graph.followers.build(graph.calls.size(), std::move(followers));
  match_messages(lists, graph, findings);
  match_meetings(lists, graph, findings);
  index_messages(graph);
  graph.partners.build(graph.calls.size(), partner_edges(graph));
  hold_to_rules(lists, rules, graph, findings);
  return graph;
}

std::string describe(const Region& region) {
  const char* kind = region.place.kind == Place::Kind::kLive ? "slot" : "buffer";
  if (region.offset.count() == 0) return fmt::format("{} {}", kind, region.place.index);
  return fmt::format("{} {} from byte {}", kind, region.place.index, region.offset.count());
}

std::string describe(const OperationLists& lists, const CallGraph& graph, CallIndex call) {
  const Operation& operation = graph.operation(lists, call);
  const auto& list = lists.of_rank[graph.calls[call].rank];
  const std::string layer =
      operation.layer.is_none() ? "" : fmt::format(", layer {}", lists.number_of(operation.layer));
  if (operation.kind == OperationKind::kCopy) {
    return fmt::format("copy of {} to {}{}", describe(operation.from), describe(operation.to),
                       layer);
  }
  const auto number = std::count_if(
      list.begin(), list.begin() + graph.calls[call].operation, [&](const Operation& earlier) {
        return earlier.kind == operation.kind && earlier.communicator == operation.communicator;
      });
  const std::string& on = lists.communicators[operation.communicator].name;
  if (operation.kind == OperationKind::kMeeting) {
    return fmt::format("meeting {} on {}{}", number, on, layer);
  }
  return fmt::format("exchange {} on {}{}", number, on, layer);
}

TimelineStep step_of(const OperationLists& lists, const CallGraph& graph, CallIndex call,
                     std::string does) {
  const Operation& operation = graph.operation(lists, call);
  std::string stream = lists.streams[operation.stream];
  if (operation.runs_beside()) stream = "beside " + stream;
  return {graph.calls[call].rank, std::move(stream), std::move(does)};
}

}  // namespace moeshift
