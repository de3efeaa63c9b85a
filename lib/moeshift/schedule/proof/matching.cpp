// SPDX-License-Identifier: Apache-2.0
#include "moeshift/schedule/proof/matching.hpp"

#include <algorithm>
#include <map>
#include <span>
#include <tuple>
#include <utility>

#include <fmt/format.h>

namespace moeshift {
namespace {

/// One end of a message, before it has met the other.
struct End {
  std::uint32_t communicator = 0;
  RankId source;
  RankId destination;
  CallIndex call = 0;
  std::uint32_t item = 0;

  [[nodiscard]] auto pair() const { return std::tie(communicator, source, destination); }
};

Finding finding_at(const OperationLists& lists, const CallGraph& graph, CallIndex call,
                   FindingKind kind) {
  Finding finding;
  finding.kind = kind;
  finding.rank = graph.calls[call].rank;
  finding.layer = graph.operation(lists, call).layer;
  return finding;
}

const MessageEnd& end_of(const OperationLists& lists, const CallGraph& graph, const End& end,
                         bool sends) {
  const Operation& operation = graph.operation(lists, end.call);
  return sends ? operation.sends[end.item] : operation.receives[end.item];
}

/// All ends of one direction, by communicator and pair, in the order of issue.
std::vector<End> ends_of(const OperationLists& lists, const CallGraph& graph, bool sends) {
  std::vector<End> ends;
  for (CallIndex call = 0; call < graph.calls.size(); ++call) {
    const Operation& operation = graph.operation(lists, call);
    const RankId self = graph.calls[call].rank;
    const auto& items = sends ? operation.sends : operation.receives;
    for (std::uint32_t i = 0; i < items.size(); ++i) {
      ends.push_back({operation.communicator, sends ? self : items[i].peer,
                      sends ? items[i].peer : self, call, i});
    }
  }
  std::stable_sort(ends.begin(), ends.end(),
                   [](const End& a, const End& b) { return a.pair() < b.pair(); });
  return ends;
}

class Matcher {
 public:
  Matcher(const OperationLists& lists, CallGraph& graph, FindingLog& findings)
      : lists_(lists),
        graph_(graph),
        findings_(findings),
        sends_(ends_of(lists, graph, true)),
        receives_(ends_of(lists, graph, false)) {}

  void match() {
    std::size_t s = 0;
    std::size_t r = 0;
    while (s < sends_.size() || r < receives_.size()) {
      const bool by_send =
          r == receives_.size() || (s < sends_.size() && !(receives_[r].pair() < sends_[s].pair()));
      const End first = by_send ? sends_[s] : receives_[r];
      const auto run = [&](const std::vector<End>& ends, std::size_t from) {
        std::size_t to = from;
        while (to < ends.size() && ends[to].pair() == first.pair()) ++to;
        return std::span(ends).subspan(from, to - from);
      };
      const std::span<const End> sends = run(sends_, s);
      const std::span<const End> receives = run(receives_, r);
      match_pair(sends, receives);
      s += sends.size();
      r += receives.size();
    }
  }

 private:
  void match_pair(std::span<const End> sends, std::span<const End> receives) {
    const std::size_t both = std::min(sends.size(), receives.size());
    for (std::size_t k = 0; k < both; ++k) meet(sends[k], receives[k], k);
    if (sends.size() == receives.size()) return;
    // One end is missing somewhere, and all later ones meet a wrong one: where labels part ways.
    std::size_t from = 0;
    while (from < both && label_of(sends[from], true) == label_of(receives[from], false)) ++from;
    const std::span<const End> longer = sends.size() > both ? sends : receives;
    for (const End& end : longer.subspan(from, longer.size() - both)) {
      lone(end, sends.size() > both);
    }
  }

  /// What an end is for, as far as its call says.
  [[nodiscard]] std::pair<LayerId, std::uint32_t> label_of(const End& end, bool sends) const {
    return {end_of(lists_, graph_, end, sends).memory.layer,
            graph_.operation(lists_, end.call).wave};
  }

  void meet(const End& send, const End& receive, std::size_t number) {
    graph_.messages.push_back({send.call, send.item, receive.call, receive.item});
    const Region& from = end_of(lists_, graph_, send, true).memory;
    const Region& to = end_of(lists_, graph_, receive, false).memory;
    if (from.bytes == to.bytes || !findings_.count(FindingKind::kSizeMismatch)) return;
    Finding finding = finding_at(lists_, graph_, receive.call, FindingKind::kSizeMismatch);
    finding.layer = to.layer;
    finding.text = fmt::format(
        "message {} from rank {} to rank {} on {}: {} bytes are sent, {} are "
        "awaited",
        number, send.source.value(), send.destination.value(),
        lists_.communicators[send.communicator].name, from.bytes.count(), to.bytes.count());
    finding.timeline = {
        step_of(
            lists_, graph_, send.call,
            fmt::format("{}: sends {} bytes of {} to rank {}", describe(lists_, graph_, send.call),
                        from.bytes.count(), describe(from), send.destination.value())),
        step_of(lists_, graph_, receive.call,
                fmt::format("{}: receives {} bytes into {} from rank {}",
                            describe(lists_, graph_, receive.call), to.bytes.count(), describe(to),
                            receive.source.value()))};
    findings_.keep(std::move(finding));
  }

  void lone(const End& end, bool sends) {
    if (!findings_.count(FindingKind::kUnmatched)) return;
    Finding finding = finding_at(lists_, graph_, end.call, FindingKind::kUnmatched);
    const Region& region = end_of(lists_, graph_, end, sends).memory;
    finding.layer = region.layer;
    const RankId peer = sends ? end.destination : end.source;
    const auto& members = lists_.communicators[end.communicator].members;
    const bool member = std::binary_search(members.begin(), members.end(), peer);
    finding.text = fmt::format("rank {} {} rank {} on {}, and {}", finding.rank.value(),
                               sends ? fmt::format("sends {} to", describe(region))
                                     : fmt::format("awaits {} from", describe(region)),
                               peer.value(), lists_.communicators[end.communicator].name,
                               member ? fmt::format("rank {} has no {} left for it", peer.value(),
                                                    sends ? "receive" : "send")
                                      : "that rank is no member");
    finding.timeline = {
        step_of(lists_, graph_, end.call,
                fmt::format("{}: {} {} {} rank {}, for ever", describe(lists_, graph_, end.call),
                            sends ? "sends" : "awaits", describe(region), sends ? "to" : "from",
                            peer.value()))};
    findings_.keep(std::move(finding));
  }

  const OperationLists& lists_;
  CallGraph& graph_;
  FindingLog& findings_;
  std::vector<End> sends_;
  std::vector<End> receives_;
};

}  // namespace

void match_messages(const OperationLists& lists, CallGraph& graph, FindingLog& findings) {
  Matcher(lists, graph, findings).match();
}

namespace {

using CallsOfRank = std::map<RankId, std::vector<CallIndex>>;

std::size_t meetings_of(const CallsOfRank& calls, RankId rank) {
  const auto found = calls.find(rank);
  return found == calls.end() ? 0 : found->second.size();
}

/// The meeting of others that `missing`, who does not come to the k-th, leaves out: where labels
/// part ways.
CallIndex skipped_by(const OperationLists& lists, const CallGraph& graph, const CallsOfRank& calls,
                     RankId missing, std::size_t k) {
  const auto other = std::find_if(calls.begin(), calls.end(),
                                  [&](const auto& of_rank) { return of_rank.second.size() > k; });
  const auto label = [&](CallIndex call) {
    const Operation& operation = graph.operation(lists, call);
    return std::pair(operation.layer, operation.wave);
  };
  const std::size_t own = meetings_of(calls, missing);
  std::size_t same = 0;
  while (same < own && label(calls.at(missing)[same]) == label(other->second[same])) {
    ++same;
  }
  return other->second[same];
}

/// The k-th meeting of a communicator, and the first member that does not come to it.
void match_meeting(const OperationLists& lists, const Communicator& communicator,
                   const CallsOfRank& calls, std::size_t k, CallGraph& graph,
                   FindingLog& findings) {
  const auto number = static_cast<std::uint32_t>(graph.meetings.size());
  auto& meeting = graph.meetings.emplace_back();
  for (const auto& [rank, of_rank] : calls) {
    if (k >= of_rank.size()) continue;
    meeting.push_back(of_rank[k]);
    graph.meeting_of[of_rank[k]] = number;
  }
  const auto comes = [&](RankId member) {
    const auto found = calls.find(member);
    return found != calls.end() && found->second.size() > k;
  };
  const auto missing =
      std::find_if_not(communicator.members.begin(), communicator.members.end(), comes);
  if (missing == communicator.members.end() || !findings.count(FindingKind::kUnmatched)) return;
  const CallIndex skipped = skipped_by(lists, graph, calls, *missing, k);
  Finding finding = finding_at(lists, graph, skipped, FindingKind::kUnmatched);
  finding.rank = *missing;
  finding.text = fmt::format(
      "rank {} comes to {} meetings on {}, rank {} to more: who has come waits for ever",
      missing->value(), meetings_of(calls, *missing), communicator.name,
      graph.calls[skipped].rank.value());
  finding.timeline = {step_of(lists, graph, skipped,
                              fmt::format("{}: rank {} has none like it",
                                          describe(lists, graph, skipped), missing->value()))};
  findings.keep(std::move(finding));
}

}  // namespace

void match_meetings(const OperationLists& lists, CallGraph& graph, FindingLog& findings) {
  graph.meeting_of.assign(graph.calls.size(), CallGraph::kNoMeeting);
  std::vector<CallsOfRank> calls(lists.communicators.size());
  for (CallIndex call = 0; call < graph.calls.size(); ++call) {
    const Operation& operation = graph.operation(lists, call);
    if (operation.kind != OperationKind::kMeeting) continue;
    calls[operation.communicator][graph.calls[call].rank].push_back(call);
  }
  for (std::size_t c = 0; c < calls.size(); ++c) {
    std::size_t most = 0;
    for (const auto& [rank, of_rank] : calls[c]) most = std::max(most, of_rank.size());
    for (std::size_t k = 0; k < most; ++k) {
      match_meeting(lists, lists.communicators[c], calls[c], k, graph, findings);
    }
  }
}

namespace {

/// What a pair sends in turn, held to the rules.
class RuleKeeper {
 public:
  RuleKeeper(const OperationLists& lists, const ProofRules& rules, const CallGraph& graph,
             FindingLog& findings)
      : lists_(lists), rules_(rules), graph_(graph), findings_(findings) {}

  void keep() {
    std::size_t in_call = 0;
    for (std::size_t i = 0; i < graph_.messages.size(); ++i) {
      const MatchedMessage& message = graph_.messages[i];
      const bool follows = i > 0 && pair(graph_.messages[i - 1]) == pair(message);
      const bool same_sender = follows && graph_.messages[i - 1].sender == message.sender;
      const bool same_receiver = follows && graph_.messages[i - 1].receiver == message.receiver;
      in_call = same_sender || same_receiver ? in_call + 1 : 1;
      if (rules_.messages_per_call > 0 && in_call == rules_.messages_per_call + 1) {
        too_many(message);
      }
      if (rules_.calls_mirror && follows && same_sender != same_receiver) {
        calls_differ(graph_.messages[i - 1], message, same_sender);
      }
    }
  }

 private:
  [[nodiscard]] std::tuple<std::uint32_t, RankId, RankId> pair(const MatchedMessage& m) const {
    return {graph_.operation(lists_, m.sender).communicator, graph_.calls[m.sender].rank,
            graph_.calls[m.receiver].rank};
  }
  [[nodiscard]] LayerId layer_of(const MatchedMessage& m) const {
    return graph_.operation(lists_, m.receiver).receives[m.receive].memory.layer;
  }
  [[nodiscard]] TimelineStep step(CallIndex call, const char* more) const {
    return step_of(lists_, graph_, call, describe(lists_, graph_, call) + more);
  }

  void too_many(const MatchedMessage& message) {
    if (!findings_.count(FindingKind::kTooManyMessages)) return;
    const bool single = rules_.messages_per_call == 1;
    Finding finding = finding_at(lists_, graph_, message.sender, FindingKind::kTooManyMessages);
    finding.layer = layer_of(message);
    finding.text = fmt::format(
        "one call holds more than {} message{} from rank {} to rank {}: {}",
        rules_.messages_per_call, single ? "" : "s", graph_.calls[message.sender].rank.value(),
        graph_.calls[message.receiver].rank.value(),
        single ? "the library takes one item per ordered pair and call"
               : "ranks may cut it into kernels at different points, and hang");
    finding.timeline = {step(message.sender, ""), step(message.receiver, "")};
    findings_.keep(std::move(finding));
  }

  void calls_differ(const MatchedMessage& before, const MatchedMessage& message,
                    bool sender_is_one) {
    if (!findings_.count(FindingKind::kCallsDiffer)) return;
    const CallIndex once = sender_is_one ? message.sender : message.receiver;
    const CallIndex first = sender_is_one ? before.receiver : before.sender;
    const CallIndex second = sender_is_one ? message.receiver : message.sender;
    Finding finding = finding_at(lists_, graph_, second, FindingKind::kCallsDiffer);
    finding.layer = layer_of(message);
    finding.text = fmt::format(
        "rank {} {} in one call what rank {} {} in two: calls are cut differently on two ranks",
        graph_.calls[once].rank.value(), sender_is_one ? "sends" : "receives",
        graph_.calls[second].rank.value(), sender_is_one ? "receives" : "sends");
    finding.timeline = {step(once, ": both messages"), step(first, ": the first"),
                        step(second, ": the second")};
    findings_.keep(std::move(finding));
  }

  const OperationLists& lists_;
  const ProofRules& rules_;
  const CallGraph& graph_;
  FindingLog& findings_;
};

}  // namespace

void hold_to_rules(const OperationLists& lists, const ProofRules& rules, const CallGraph& graph,
                   FindingLog& findings) {
  RuleKeeper(lists, rules, graph, findings).keep();
}

}  // namespace moeshift
