// SPDX-License-Identifier: Apache-2.0
#include "moeshift/simulate/rearrangement_run.hpp"

#include <algorithm>
#include <limits>
#include <span>
#include <utility>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

RearrangementLimits limits_of(const ModeOptions& mode) {
  // In the stopping modes the pipelining is inside the price of a boundary.
  if (mode.kind != ModeKind::kAsync) {
    constexpr std::size_t kAny = std::numeric_limits<std::size_t>::max();
    return {.buffers = kAny, .staged_at_once = kAny, .commits_per_step = 0};
  }
  return {.buffers = mode.buffers, .staged_at_once = 1, .commits_per_step = mode.layers_per_step};
}

}  // namespace

RearrangementRun::RearrangementRun(const ModeOptions& mode)
    : mode_(mode), machine_(limits_of(mode)) {}

void RearrangementRun::begin(RearrangementWork work) {
  work_ = std::move(work);
  machine_.begin();
  planning_left_ = mode_.plan;
  staging_left_ = Seconds();
  if (mode_.kind != ModeKind::kTrickle) return;
  machine_.planned(work_.layers.size());
  while (machine_.next_to_stage()) machine_.staging_started();
  staging_left_ = work_.connection;
  for (const LayerWork& layer : work_.layers) staging_left_ += layer.stage;
  trickle_left_ = Bytes();
  for (const Bytes of_link : work_.bytes()) trickle_left_ += of_link;
}

void RearrangementRun::abort() {
  machine_.abort();
  work_ = {};
}

RearrangementRun::Boundary RearrangementRun::at_boundary() {
  if (idle()) return {};
  switch (mode_.kind) {
    case ModeKind::kSync:
      return stop_and_move(work_.layers.size());
    case ModeKind::kLayered:
      return stop_and_move(mode_.layers_per_step);
    case ModeKind::kTrickle:
      return commit_trickle();
    case ModeKind::kAsync:
      break;
  }
  return vote_and_commit();
}

RearrangementRun::Boundary RearrangementRun::stop_and_move(std::size_t layers) {
  Boundary boundary;
  if (machine_.phase() == RearrangementPhase::kPlanning) {
    boundary.stall = planning_left_ + work_.connection;
    machine_.planned(work_.layers.size());
  }
  const std::size_t first = machine_.layers_committed();
  const std::size_t count = std::min(layers, work_.layers.size() - first);
  const auto chunk = std::span<const LayerWork>(work_.layers).subspan(first, count);
  boundary.stall += pipelined(chunk, std::min(mode_.buffers, work_.in_flight));
  machine_.allow(first + count);
  while (const auto next = machine_.next_to_stage()) {
    machine_.staging_started();
    machine_.staging_finished();
    boundary.committed.push_back(work_.layers[*next].layer);
  }
  for (std::size_t left = machine_.vote(count); left > 0; --left) machine_.committed();
  return boundary;
}

RearrangementRun::Boundary RearrangementRun::vote_and_commit() {
  Boundary boundary;
  const std::size_t next = machine_.layers_committed();
  const bool planning = machine_.phase() == RearrangementPhase::kPlanning;
  if (!planning) boundary.stall = work_.layers[next].vote;
  const std::size_t count = planning ? 0 : machine_.vote(machine_.ready());
  for (std::size_t i = next; i < next + count; ++i) {
    boundary.stall += work_.layers[i].commit;
    boundary.committed.push_back(work_.layers[i].layer);
    machine_.committed();
  }
  start_next_layer();
  return boundary;
}

RearrangementRun::Boundary RearrangementRun::commit_trickle() {
  Boundary boundary;
  if (machine_.ready() == 0) return boundary;
  boundary.stall = work_.layers.front().vote;
  for (std::size_t left = machine_.vote(machine_.ready()); left > 0; --left) {
    const LayerWork& layer = work_.layers[machine_.layers_committed()];
    boundary.stall += layer.commit;
    boundary.committed.push_back(layer.layer);
    machine_.committed();
  }
  return boundary;
}

/// What the next step may carry; everything when nothing crosses ranks.
Bytes RearrangementRun::step_share() const {
  return std::min(mode_.trickle_bytes, trickle_left_);
}

void RearrangementRun::advance_trickle(Seconds spent, Seconds busy) {
  staging_left_ -= spent;
  const Bytes share = step_share();
  trickle_left_ -= spent >= busy ? share
                                 : Bytes(static_cast<std::int64_t>(
                                       static_cast<double>(share.count()) * ratio(spent, busy)));
  if (trickle_left_ > Bytes() || spent < busy) return;
  for (std::size_t left = machine_.layers(); left > 0; --left) machine_.staging_finished();
}

void RearrangementRun::start_next_layer() {
  const auto next = machine_.next_to_stage();
  if (!next) return;
  staging_left_ = work_.layers[*next].stage;
  if (*next == 0) staging_left_ += work_.connection;
  machine_.staging_started();
}

RearrangementRun::Background RearrangementRun::background() const {
  Background background;
  if (idle()) return background;
  if (mode_.kind == ModeKind::kTrickle) {
    if (machine_.ready() > 0) return background;
    const bool all = trickle_left_ <= mode_.trickle_bytes;
    background.busy = all ? staging_left_ : staging_left_ * ratio(step_share(), trickle_left_);
    background.bytes = work_.bytes();
    return background;
  }
  if (mode_.kind != ModeKind::kAsync) return background;
  Rearrangement ahead = machine_;
  if (ahead.phase() == RearrangementPhase::kPlanning) {
    background.quiet = planning_left_;
    ahead.planned(work_.layers.size());
  }
  background.busy = staging_left_;
  std::size_t current = ahead.layers_committed() + ahead.ready();
  const bool staging =
      current < ahead.layers() && ahead.layer_phase(current) == LayerPhase::kStaging;
  if (staging) {
    background.bytes += work_.layers[current].bytes;
    ahead.staging_finished();
  }
  while (const auto next = ahead.next_to_stage()) {
    background.busy += work_.layers[*next].stage;
    if (*next == 0) background.busy += work_.connection;
    background.bytes += work_.layers[*next].bytes;
    ahead.staging_started();
    ahead.staging_finished();
  }
  return background;
}

Seconds RearrangementRun::advance(Seconds step) {
  if (idle()) return {};
  if (mode_.kind == ModeKind::kTrickle && machine_.ready() == 0) {
    const Seconds busy = background().busy;
    const Seconds spent = std::min(step, busy);
    advance_trickle(spent, busy);
    return spent;
  }
  if (mode_.kind != ModeKind::kAsync) return {};
  Seconds left = step;
  if (machine_.phase() == RearrangementPhase::kPlanning) {
    const Seconds spent = std::min(left, planning_left_);
    planning_left_ -= spent;
    left -= spent;
    if (planning_left_ > Seconds()) return step;
    machine_.planned(work_.layers.size());
    start_next_layer();
  }
  // Staging that needs no time is done as soon as it may start.
  while (!idle()) {
    const std::size_t current = machine_.layers_committed() + machine_.ready();
    if (current == machine_.layers() || machine_.layer_phase(current) != LayerPhase::kStaging) {
      break;
    }
    const Seconds spent = std::min(left, staging_left_);
    staging_left_ -= spent;
    left -= spent;
    if (staging_left_ > Seconds()) break;
    machine_.staging_finished();
    start_next_layer();
  }
  return step - left;
}

Seconds step_beside(Seconds alone, Seconds contended, Seconds quiet, Seconds busy) {
  if (busy <= Seconds() || quiet >= alone) return alone;
  const double rest = 1 - ratio(quiet, alone);  // of the step, once staging starts
  const Seconds rest_contended = contended * rest;
  if (busy >= rest_contended) return quiet + rest_contended;
  return quiet + busy + alone * (rest - ratio(busy, contended));
}

}  // namespace moeshift
