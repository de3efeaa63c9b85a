// SPDX-License-Identifier: Apache-2.0
#include "moeshift/schedule/proof/prover.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>

namespace moeshift {
namespace {

bool passed_by(const Clock& clock, Moment moment) {
  return clock[moment.lane] >= moment.time;
}

FindingKind kind_of(Conflict::Kind kind) {
  switch (kind) {
    case Conflict::Kind::kReadOfUnfinished:
      return FindingKind::kHalfWritten;
    case Conflict::Kind::kWriteOverRead:
      return FindingKind::kOverwritten;
    case Conflict::Kind::kWriteOverWrite:
      return FindingKind::kWrittenTwice;
  }
  return FindingKind::kWrittenTwice;
}

const char* words_for(FindingKind kind) {
  if (kind == FindingKind::kHalfWritten) return "is read while it may be half written";
  if (kind == FindingKind::kOverwritten) return "may be overwritten before it has been read";
  return "is written twice, in no order";
}

}  // namespace

Prover::Prover(const ProofTask& task, const CallGraph& graph, FindingLog& findings)
    : task_(task),
      graph_(graph),
      findings_(findings),
      clocks_(graph),
      memories_(task.lists.ranks()),
      latest_(task.lists.ranks(),
              std::vector<std::optional<CallIndex>>(task.lists.communicators.size())) {
  const std::set<RankId> dead(task.dead_ranks.begin(), task.dead_ranks.end());
  for (const LayerId layer : all_ids<LayerId>(task.old.layers())) {
    for (const RankId rank : all_ids<RankId>(task.old.ranks())) {
      if (dead.count(rank) != 0) continue;
      const auto held = task.old.rank_slots(layer, rank);
      for (std::uint32_t slot = 0; slot < held.size(); ++slot) {
        if (held[slot].is_none()) continue;
        memories_[rank].fill(layer, slot, held[slot], task.sizes(layer, held[slot]));
      }
    }
  }
  if (task.lists.votes) collect_staged();
}

void Prover::collect_staged() {
  std::map<Unit, std::map<std::uint32_t, Staged>> last;
  const auto note = [&](CallIndex call, const Region& region, std::uint32_t wave) {
    if (region.place.kind != Place::Kind::kStaging) return;
    last[{region.layer, wave}][graph_.calls[call].lane] = {clocks_.end(call), call};
  };
  for (const auto& lane : graph_.of_lane) {
    for (const CallIndex call : lane) {
      const Operation& operation = graph_.operation(task_.lists, call);
      for (const MessageEnd& end : operation.receives) note(call, end.memory, operation.wave);
      if (operation.kind == OperationKind::kCopy) note(call, operation.to, operation.wave);
    }
  }
  for (const auto& [unit, by_lane] : last) {
    for (const auto& [lane, staged] : by_lane) staged_[unit].push_back(staged);
  }
}

void Prover::began(CallIndex call) {
  clocks_.began(call);
  const Operation& operation = graph_.operation(task_.lists, call);
  if (task_.rules.one_call_at_a_time) hold_to_one_at_a_time(call, operation);
  read_sources(call, operation);
}

void Prover::read_sources(CallIndex call, const Operation& operation) {
  RankModel& memory = memories_[graph_.calls[call].rank];
  const Clock& clock = clocks_.now(call);
  std::vector<Conflict> conflicts;
  const auto read = [&](const Region& region) {
    conflicts.clear();
    auto pieces = memory.read(region, clock, clocks_.end(call), call, conflicts);
    if (!conflicts.empty()) report(call, region, conflicts, Clocks::calls_before(clock));
    return pieces;
  };
  for (const std::uint32_t message : graph_.sent_by(call)) {
    in_flight_[message] = read(operation.sends[graph_.messages[message].send].memory);
  }
  if (operation.kind != OperationKind::kCopy) return;
  const auto pieces = read(operation.from);
  const auto passed = [&](Moment moment) { return passed_by(clock, moment); };
  hold_to_vote(call, operation.to, operation.wave, passed);
  conflicts.clear();
  memory.write(operation.to, pieces, clocks_.end(call), call, passed, conflicts);
  if (!conflicts.empty()) report(call, operation.to, conflicts, Clocks::calls_before(clock));
}

void Prover::ended(CallIndex call) {
  deliver(call, graph_.operation(task_.lists, call));
  clocks_.ended(call);
}

/// What arrives begins to be written when both ends have begun.
void Prover::deliver(CallIndex call, const Operation& operation) {
  RankModel& memory = memories_[graph_.calls[call].rank];
  const Clock& here = clocks_.now(call);
  std::vector<Conflict> conflicts;
  for (const std::uint32_t message : graph_.received_by(call)) {
    const Clock& there = clocks_.when_began(graph_.messages[message].sender);
    const auto passed = [&](Moment moment) {
      return passed_by(here, moment) || passed_by(there, moment);
    };
    const Region& region = operation.receives[graph_.messages[message].receive].memory;
    hold_to_vote(call, region, operation.wave, passed);
    conflicts.clear();
    const auto content = in_flight_.extract(message);
    memory.write(region, content.mapped(), clocks_.end(call), call, passed, conflicts);
    if (!conflicts.empty()) report(call, region, conflicts, Clocks::calls_before(here));
  }
}

void Prover::report(CallIndex call, const Region& region, const std::vector<Conflict>& conflicts,
                    std::size_t calls_before) {
  const OperationLists& lists = task_.lists;
  for (const Conflict& conflict : conflicts) {
    const FindingKind kind = kind_of(conflict.kind);
    if (!findings_.count(kind, calls_before)) continue;
    Finding finding;
    finding.kind = kind;
    finding.rank = graph_.calls[call].rank;
    finding.layer = region.layer;
    finding.calls_before = calls_before;
    finding.text = fmt::format(
        "{} of rank {} {}: nothing orders {} and {}", describe(region), finding.rank.value(),
        words_for(kind), describe(lists, graph_, conflict.earlier), describe(lists, graph_, call));
    const bool reads_first = kind == FindingKind::kOverwritten;
    const bool writes_second = kind != FindingKind::kHalfWritten;
    finding.timeline = {
        step_of(lists, graph_, conflict.earlier,
                fmt::format("{} begins to {} {}", describe(lists, graph_, conflict.earlier),
                            reads_first ? "read" : "write", describe(region))),
        step_of(lists, graph_, call,
                fmt::format("{} {} it meanwhile", describe(lists, graph_, call),
                            writes_second ? "writes" : "reads"))};
    findings_.keep(std::move(finding));
  }
}

template <class Passed>
void Prover::hold_to_vote(CallIndex call, const Region& region, std::uint32_t wave,
                          const Passed& passed) {
  if (!task_.lists.votes || region.place.kind != Place::Kind::kLive) return;
  const auto unit = staged_.find({region.layer, wave});
  if (unit == staged_.end()) return;
  const auto early = std::find_if(unit->second.begin(), unit->second.end(),
                                  [&](const Staged& staged) { return !passed(staged.end); });
  if (early == unit->second.end()) return;
  const std::size_t before = Clocks::calls_before(clocks_.now(call));
  if (!findings_.count(FindingKind::kLiveBeforeVote, before)) return;
  const OperationLists& lists = task_.lists;
  Finding finding;
  finding.kind = FindingKind::kLiveBeforeVote;
  finding.rank = graph_.calls[call].rank;
  finding.layer = region.layer;
  finding.calls_before = before;
  finding.text = fmt::format(
      "rank {} may write {} live while rank {} has not staged the layer: nothing orders {} before "
      "{}",
      finding.rank.value(), describe(region), graph_.calls[early->call].rank.value(),
      describe(lists, graph_, early->call), describe(lists, graph_, call));
  finding.timeline = {
      step_of(lists, graph_, call, describe(lists, graph_, call) + ": goes live"),
      step_of(lists, graph_, early->call,
              describe(lists, graph_, early->call) + ": still to come, and may fail")};
  findings_.keep(std::move(finding));
}

void Prover::hold_to_one_at_a_time(CallIndex call, const Operation& operation) {
  if (operation.kind == OperationKind::kCopy) return;
  const auto& communicators = task_.lists.communicators;
  const bool takes_device =
      operation.kind == OperationKind::kExchange || communicators[operation.communicator].on_device;
  if (!takes_device) return;
  const RankId rank = graph_.calls[call].rank;
  auto& latest = latest_[rank];
  const Clock& clock = clocks_.now(call);
  for (std::uint32_t other = 0; other < latest.size(); ++other) {
    if (other == operation.communicator || !latest[other]) continue;
    if (passed_by(clock, clocks_.end(*latest[other]))) continue;
    if (!joined_elsewhere(other, operation.communicator, rank)) continue;
    const std::size_t before = Clocks::calls_before(clock);
    if (!findings_.count(FindingKind::kSideBySide, before)) continue;
    const CallIndex first = *latest[other];
    Finding finding;
    finding.kind = FindingKind::kSideBySide;
    finding.rank = rank;
    finding.layer = operation.layer;
    finding.calls_before = before;
    finding.text = fmt::format(
        "nothing orders {} and {} on rank {}: where a call takes the whole device, one rank may "
        "run the first and another the second, and both wait for ever",
        describe(task_.lists, graph_, first), describe(task_.lists, graph_, call), rank.value());
    finding.timeline = {
        step_of(task_.lists, graph_, first,
                describe(task_.lists, graph_, first) + " may take the device first"),
        step_of(task_.lists, graph_, call,
                describe(task_.lists, graph_, call) +
                    " may as well, and does so on another rank of the two communicators")};
    findings_.keep(std::move(finding));
  }
  latest[operation.communicator] = call;
}

/// Whether the two communicators can wait for each other by way of ranks other than `rank`.
bool Prover::joined_elsewhere(std::uint32_t a, std::uint32_t b, RankId rank) const {
  const auto& communicators = task_.lists.communicators;
  std::vector<bool> reached(communicators.size(), false);
  std::vector<std::uint32_t> open = {a};
  reached[a] = true;
  for (std::size_t i = 0; i < open.size(); ++i) {
    for (const RankId member : communicators[open[i]].members) {
      if (member == rank) continue;
      for (std::uint32_t c = 0; c < communicators.size(); ++c) {
        const auto& members = communicators[c].members;
        if (reached[c] || !std::binary_search(members.begin(), members.end(), member)) continue;
        reached[c] = true;
        open.push_back(c);
      }
    }
  }
  return reached[b];
}

}  // namespace moeshift
