// SPDX-License-Identifier: Apache-2.0
// Lists of calls as a graph: which call waits for which, on its rank and across ranks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "moeshift/schedule/proof/finding.hpp"
#include "moeshift/schedule/proof/operations.hpp"
#include "moeshift/schedule/proof/rules.hpp"

namespace moeshift {

/// Index of a call (exchange, copy or meeting) in CallGraph::calls.
using CallIndex = std::uint32_t;

/// A call, and where it stands.
struct Call {
  RankId rank;
  std::uint32_t operation = 0;  ///< index into the rank's list
  /// Calls of one lane run one after another: a stream of a rank, or what its exchanges that run
  /// beside a stream share.
  std::uint32_t lane = 0;
  std::uint32_t position = 0;  ///< in its lane
};

/// The two ends of a message.
struct MatchedMessage {
  CallIndex sender = 0;
  std::uint32_t send = 0;  ///< index into Operation::sends
  CallIndex receiver = 0;
  std::uint32_t receive = 0;
};

/// A list of lists, in one piece.
class Adjacency {
 public:
  /// Takes pairs (from, to); each `to` of a `from` once, ascending.
  void build(std::size_t nodes, std::vector<std::pair<CallIndex, CallIndex>> edges);
  [[nodiscard]] std::span<const CallIndex> of(CallIndex call) const {
    return std::span(to_).subspan(first_[call], first_[call + 1] - first_[call]);
  }

 private:
  std::vector<std::uint32_t> first_;
  std::vector<CallIndex> to_;
};

/// What the lists say, before anything runs.
struct CallGraph {
  std::vector<Call> calls;  ///< by rank, then in the order of issue
  std::size_t lanes = 0;
  std::vector<std::uint32_t> stream_of_lane;  ///< for words
  std::vector<std::vector<CallIndex>> of_lane;
  Adjacency waits_for;  ///< calls of the same rank that must have ended first, lane included
  Adjacency followers;  ///< the other way round
  Adjacency partners;   ///< of messages: must have begun before this one can end; symmetric
  std::vector<MatchedMessage> messages;
  std::vector<std::uint32_t> first_sent;      ///< [calls + 1] into `sent`
  std::vector<std::uint32_t> sent;            ///< message ids by sender
  std::vector<std::uint32_t> first_received;  ///< likewise by receiver
  std::vector<std::uint32_t> received;
  std::vector<std::uint32_t> meeting_of;         ///< [calls] index into `meetings`, or kNoMeeting
  std::vector<std::vector<CallIndex>> meetings;  ///< the calls of all who come, by rank

  static constexpr std::uint32_t kNoMeeting = std::numeric_limits<std::uint32_t>::max();

  [[nodiscard]] const Operation& operation(const OperationLists& lists, CallIndex call) const {
    return lists.of_rank[calls[call].rank][calls[call].operation];
  }
  [[nodiscard]] std::span<const std::uint32_t> sent_by(CallIndex call) const {
    return std::span(sent).subspan(first_sent[call], first_sent[call + 1] - first_sent[call]);
  }
  [[nodiscard]] std::span<const std::uint32_t> received_by(CallIndex call) const {
    return std::span(received).subspan(first_received[call],
                                       first_received[call + 1] - first_received[call]);
  }
};

/// Builds the graph: streams, events and the order of a communicator on each rank, then the k-th
/// message from a to b meets the k-th that b receives from a, and the k-th meeting of a
/// communicator is one for all its members. What does not match, or breaks `rules`, is added to
/// `findings`. O(calls + messages log messages).
[[nodiscard]] CallGraph graph_of(const OperationLists& lists, const ProofRules& rules,
                                 FindingLog& findings);

/// "exchange 3 on experts: sends 2, receives 1", "copy of buffer 4 to slot 2".
[[nodiscard]] std::string describe(const OperationLists& lists, const CallGraph& graph,
                                   CallIndex call);
/// "slot 3", "buffer 1", with bytes where these are part of a place only.
[[nodiscard]] std::string describe(const Region& region);
[[nodiscard]] TimelineStep step_of(const OperationLists& lists, const CallGraph& graph,
                                   CallIndex call, std::string does);

}  // namespace moeshift
