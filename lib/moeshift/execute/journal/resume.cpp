// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/journal/resume.hpp"

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/core/sha256.hpp"
#include "moeshift/execute/contents.hpp"

namespace moeshift {
namespace {

std::string place(const Journal& journal, std::size_t line) {
  return fmt::format("{}:{}", journal.source, line);
}

/// Waves of each layer of the plan that the run committed, in the plan's order.
std::vector<std::size_t> waves_of(const Journal& journal, const JournalRun& run,
                                  const TransferPlan& plan) {
  std::vector<std::size_t> waves(plan.layers.size(), 0);
  for (const JournalDecision& decision : run.committed) {
    const auto moves = std::ranges::find(plan.layers, decision.layer, &LayerMoves::layer);
    if (moves == plan.layers.end()) {
      throw InputError(place(journal, decision.line),
                       fmt::format("layer {} is none of the rearrangement's {} layers",
                                   decision.layer.value(), plan.layers.size()));
    }
    std::size_t& next = waves[static_cast<std::size_t>(moves - plan.layers.begin())];
    if (decision.wave != next || decision.wave >= moves->waves.size()) {
      throw InputError(
          place(journal, decision.line),
          fmt::format("wave {} of layer {} cannot be committed here: its plan has {} waves, {} "
                      "before it are committed",
                      decision.wave, decision.layer.value(), moves->waves.size(), next));
    }
    ++next;
  }
  return waves;
}

Placement after_run(const Journal& journal, const JournalRun& run, const Placement& from,
                    const Placement& next, const TransferPlan& plan) {
  const std::vector<std::size_t> waves = waves_of(journal, run, plan);
  IdMatrix<LayerId, SlotId, ExpertId> slots = from.physical_to_logical();
  for (const LayerId layer : slots.row_ids()) {
    for (const RankId rank : all_ids<RankId>(from.ranks())) {
      const std::vector<ExpertId> row = slots_after_waves(plan.layers[layer.index()], from, next,
                                                          layer, rank, waves[layer.index()]);
      std::ranges::copy(row, slots.row(layer).subspan(rank.index() * row.size()).begin());
    }
  }
  return Placement(from.experts(), from.ranks(), std::move(slots));
}

void check_start(const Journal& journal, const JournalRun& run, const Placement& from,
                 const Placement& next) {
  const bool same_end = run.header.new_placement == content_hash(next);
  const bool same_start = run.header.old_placement == content_hash(from);
  if (same_end && same_start && run.header.ranks == from.ranks()) return;
  const bool first = &run == &journal.runs.front();
  throw InputError(place(journal, run.line),
                   first || !same_end
                       ? "the journal is about another rearrangement: expected the placements, "
                         "layers and dead ranks that it was begun with"
                       : "this run began from another placement than the runs before it lead to");
}

}  // namespace

std::string content_hash(const Placement& placement) {
  Sha256 hash;
  const auto add = [&hash](std::uint64_t number) {
    hash.update(std::as_bytes(std::span<const std::uint64_t>(&number, 1)));
  };
  add(placement.layers());
  add(placement.slots());
  add(placement.experts());
  add(placement.ranks());
  for (const ExpertId expert : placement.physical_to_logical().items()) add(expert.value());
  return hash.hex();
}

Placement placement_after(const Journal& journal, const Placement& old, const Placement& next,
                          const Replan& replan) {
  if (journal.runs.empty()) return old;
  if (old.slots() != next.slots() || old.ranks() != next.ranks()) {
    throw InputError(journal.source, "a change of the world's shape cannot be resumed");
  }
  Placement now = old;
  for (const JournalRun& run : journal.runs) {
    check_start(journal, run, now, next);
    const TransferPlan plan = replan(now, run.header.run);
    if (plan.hash != run.header.plan) {
      throw InputError(place(journal, run.line),
                       fmt::format("the run was planned with other options (plan {}, now {}): give "
                                   "the schedule's options again",
                                   run.header.plan.substr(0, 12), plan.hash.substr(0, 12)));
    }
    now = after_run(journal, run, now, next, plan);
  }
  return now;
}

}  // namespace moeshift
