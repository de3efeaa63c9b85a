// SPDX-License-Identifier: Apache-2.0
#include "moeshift/schedule/proof/prove.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/schedule/proof/prover.hpp"

namespace moeshift {
namespace {

void check_shapes(const ProofTask& task) {
  if (task.old.layers() != task.next.layers() || task.old.experts() != task.next.experts()) {
    throw InputError(
        "", fmt::format("OLD has {} layers and {} experts, NEW {} and {}", task.old.layers(),
                        task.old.experts(), task.next.layers(), task.next.experts()));
  }
  const std::size_t ranks = std::max(task.old.ranks(), task.next.ranks());
  if (task.lists.ranks() != ranks) {
    throw InputError("", fmt::format("the placements have {} ranks, and calls are listed for {}",
                                     ranks, task.lists.ranks()));
  }
}

/// Says what is wrong with a place, or nothing.
class PlaceChecker {
 public:
  explicit PlaceChecker(const ProofTask& task)
      : task_(task), slots_(std::max(task.old.slots_per_rank(), task.next.slots_per_rank())) {}

  [[nodiscard]] std::string fault(const Region& region) const {
    if (region.bytes.count() <= 0 || region.offset.count() < 0) return "holds no bytes";
    const std::int64_t end = region.offset.count() + region.bytes.count();
    if (region.place.kind == Place::Kind::kStaging) return "";
    if (region.layer.is_none() || region.layer.index() >= task_.old.layers()) {
      return fmt::format("is of a layer that does not exist (there are {})", task_.old.layers());
    }
    if (region.place.index >= slots_) return fmt::format("does not exist: a rank has {}", slots_);
    const Bytes largest = task_.sizes.largest(region.layer);
    if (end <= largest.count()) return "";
    return fmt::format("has {} bytes, and byte {} is used", largest.count(), end - 1);
  }

 private:
  const ProofTask& task_;
  std::size_t slots_;
};

void check_places(const ProofTask& task, const CallGraph& graph, FindingLog& findings) {
  const PlaceChecker checker(task);
  const auto complain = [&](CallIndex call, const Region& region, const std::string& fault) {
    if (fault.empty() || !findings.count(FindingKind::kBadPlace)) return;
    Finding finding;
    finding.kind = FindingKind::kBadPlace;
    finding.rank = graph.calls[call].rank;
    finding.layer = region.layer;
    finding.text = fmt::format("{} of rank {} {}, in {}", describe(region), finding.rank.value(),
                               fault, describe(task.lists, graph, call));
    finding.timeline = {
        step_of(task.lists, graph, call, describe(task.lists, graph, call) + ": out of bounds")};
    findings.keep(std::move(finding));
  };
  for (CallIndex call = 0; call < graph.calls.size(); ++call) {
    const Operation& operation = graph.operation(task.lists, call);
    for (const auto* ends : {&operation.sends, &operation.receives}) {
      for (const MessageEnd& end : *ends) complain(call, end.memory, checker.fault(end.memory));
    }
    if (operation.kind != OperationKind::kCopy) continue;
    complain(call, operation.from, checker.fault(operation.from));
    complain(call, operation.to, checker.fault(operation.to));
    if (operation.from.bytes == operation.to.bytes) continue;
    complain(call, operation.to,
             fmt::format("takes {} bytes of a copy of {}", operation.to.bytes.count(),
                         operation.from.bytes.count()));
  }
}

std::string words_for(const OperationLists& lists, const Content& content) {
  if (content.expert.is_none()) return "what nobody has written";
  return fmt::format("expert {} of layer {}{}", content.expert.value(),
                     lists.number_of(content.layer),
                     content.offset == 0 ? "" : fmt::format(" from byte {}", content.offset));
}

/// Compares what every slot holds with what was wanted.
class Comparison {
 public:
  Comparison(const ProofTask& task, const CallGraph& graph,
             const IdVector<RankId, RankModel>& memories, FindingLog& findings)
      : task_(task), graph_(graph), memories_(memories), findings_(findings) {}

  void run(Proof& proof) {
    for (const LayerId layer : all_ids<LayerId>(task_.next.layers())) {
      for (const RankId rank : all_ids<RankId>(task_.next.ranks())) {
        const auto wanted = task_.next.rank_slots(layer, rank);
        for (std::uint32_t slot = 0; slot < wanted.size(); ++slot) {
          if (wanted[slot].is_none()) continue;
          compare(layer, rank, slot, wanted[slot]);
          ++proof.slots_checked;
          proof.bytes_checked += static_cast<std::size_t>(task_.sizes(layer, wanted[slot]).count());
        }
      }
    }
  }

 private:
  void compare(LayerId layer, RankId rank, std::uint32_t slot, ExpertId expert) {
    const std::int64_t size = task_.sizes(layer, expert).count();
    const RankModel::Segments* held = memories_[rank].slot(layer, slot);
    if (held == nullptr) return wrong(layer, rank, slot, expert, {});
    for (const RankModel::Segment& segment : *held) {
      if (segment.begin >= size) return;
      const Content wanted{layer, expert, segment.begin};
      if (segment.content != wanted) return wrong(layer, rank, slot, expert, segment);
    }
  }

  void wrong(LayerId layer, RankId rank, std::uint32_t slot, ExpertId expert,
             const RankModel::Segment& segment) {
    const std::size_t before = segment.writer ? graph_.calls[*segment.writer].position : 0;
    if (!findings_.count(FindingKind::kWrongResult, before)) return;
    Finding finding;
    finding.kind = FindingKind::kWrongResult;
    finding.rank = rank;
    finding.layer = layer;
    finding.calls_before = before;
    const std::string at = segment.begin == 0 ? "" : fmt::format(" from byte {}", segment.begin);
    finding.text =
        fmt::format("slot {} of rank {}, layer {}, should hold expert {}, and{} ends with {}", slot,
                    rank.value(), task_.lists.number_of(layer), expert.value(), at,
                    words_for(task_.lists, segment.content));
    if (segment.writer) {
      add_history(*segment.writer, slot, segment, finding);
    } else {
      finding.timeline = {{rank, "", fmt::format("nothing ever writes slot {}{}", slot, at)}};
    }
    findings_.keep(std::move(finding));
  }

  /// The last write, and where it had its bytes from.
  void add_history(CallIndex writer, std::uint32_t slot, const RankModel::Segment& segment,
                   Finding& finding) const {
    for (const std::uint32_t message : graph_.received_by(writer)) {
      const MatchedMessage& matched = graph_.messages[message];
      const Region& to = graph_.operation(task_.lists, writer).receives[matched.receive].memory;
      const bool here = to.place == Place{Place::Kind::kLive, slot} && to.layer == finding.layer &&
                        to.offset.count() <= segment.begin &&
                        segment.begin < to.offset.count() + to.bytes.count();
      if (!here) continue;
      const Region& from = graph_.operation(task_.lists, matched.sender).sends[matched.send].memory;
      finding.timeline.push_back(step_of(
          task_.lists, graph_, matched.sender,
          fmt::format("{} sends {} to rank {}", describe(task_.lists, graph_, matched.sender),
                      describe(from), finding.rank.value())));
    }
    finding.timeline.push_back(
        step_of(task_.lists, graph_, writer,
                fmt::format("{} is the last to write it: {}", describe(task_.lists, graph_, writer),
                            words_for(task_.lists, segment.content))));
  }

  const ProofTask& task_;
  const CallGraph& graph_;
  const IdVector<RankId, RankModel>& memories_;
  FindingLog& findings_;
};

void check_memory(const ProofTask& task, Proof& proof, FindingLog& findings) {
  if (task.lists.staging_bytes.empty()) return;
  for (const RankId rank : proof.staging.ids()) {
    const Bytes stated = task.lists.staging_bytes[rank];
    if (proof.staging[rank] <= stated || !findings.count(FindingKind::kTooMuchMemory)) continue;
    Finding finding;
    finding.kind = FindingKind::kTooMuchMemory;
    finding.rank = rank;
    finding.text = fmt::format("rank {} uses {} bytes of staging buffers, and {} were stated",
                               rank.value(), proof.staging[rank].count(), stated.count());
    findings.keep(std::move(finding));
  }
}

/// A clock has an entry for every stream, and every stream has a clock: a gigabyte of them.
constexpr std::size_t kMostLanes = 16384;

void run(const ProofTask& task, const CallGraph& graph, Proof& proof, FindingLog& findings) {
  if (graph.lanes > kMostLanes) {
    throw InputError("", fmt::format("expected at most {} streams of all ranks together, found {}",
                                     kMostLanes, graph.lanes));
  }
  Prover prover(task, graph, findings);
  const Execution execution = execute(graph, prover);
  for (const RankId rank : proof.staging.ids()) {
    proof.staging[rank] = prover.memories()[rank].staging();
  }
  check_memory(task, proof, findings);
  if (execution.complete()) {
    Comparison(task, graph, prover.memories(), findings).run(proof);
  } else if (findings.count(FindingKind::kDeadlock)) {
    findings.keep(explain_deadlock(task.lists, graph, execution));
  }
}

}  // namespace

Proof prove(const ProofTask& task) {
  check_shapes(task);
  FindingLog findings;
  Proof proof;
  proof.staging.assign(task.lists.ranks(), Bytes(0));
  const CallGraph graph = graph_of(task.lists, task.rules, findings);
  proof.calls = graph.calls.size();
  proof.messages = graph.messages.size();
  check_places(task, graph, findings);
  // What does not match, or lies outside, has no meaning that could be followed.
  const bool sound = findings.count_of(FindingKind::kUnmatched) == 0 &&
                     findings.count_of(FindingKind::kSizeMismatch) == 0 &&
                     findings.count_of(FindingKind::kBadPlace) == 0;
  if (sound) run(task, graph, proof, findings);
  proof.findings = findings.findings();
  for (std::size_t kind = 0; kind < kFindingKinds; ++kind) {
    proof.counts.push_back(findings.count_of(static_cast<FindingKind>(kind)));
  }
  return proof;
}

}  // namespace moeshift
