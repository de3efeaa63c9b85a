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
    return {.buffers = std::numeric_limits<std::size_t>::max(), .commits_per_step = 0};
  }
  return {.buffers = mode.buffers, .commits_per_step = mode.layers_per_step};
}

}  // namespace

RearrangementRun::RearrangementRun(const ModeOptions& mode)
    : mode_(mode), machine_(limits_of(mode)) {}

void RearrangementRun::begin(RearrangementWork work) {
  work_ = std::move(work);
  machine_.begin();
  planning_left_ = mode_.plan;
  filling_left_ = Seconds();
}

RearrangementRun::Boundary RearrangementRun::at_boundary() {
  if (idle()) return {};
  switch (mode_.kind) {
    case ModeKind::kSync:
      return stop_and_move(work_.layers.size());
    case ModeKind::kLayered:
      return stop_and_move(mode_.layers_per_step);
    case ModeKind::kAsync:
    case ModeKind::kTrickle:
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
  boundary.stall += pipelined(chunk, mode_.buffers);
  for (const LayerWork& layer : chunk) {
    machine_.fill_started();
    machine_.fill_finished();
    boundary.committed.push_back(layer.layer);
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
  start_next_fill();
  return boundary;
}

void RearrangementRun::start_next_fill() {
  const auto next = machine_.next_fill();
  if (!next) return;
  filling_left_ = work_.layers[*next].stage;
  if (*next == 0) filling_left_ += work_.connection;
  machine_.fill_started();
}

RearrangementRun::Background RearrangementRun::background() const {
  Background background;
  if (idle() || mode_.kind != ModeKind::kAsync) return background;
  Rearrangement ahead = machine_;
  if (ahead.phase() == RearrangementPhase::kPlanning) {
    background.quiet = planning_left_;
    ahead.planned(work_.layers.size());
  }
  background.busy = filling_left_;
  std::size_t filled = ahead.layers_committed() + ahead.ready();
  const bool filling = filled < ahead.layers() && ahead.layer_phase(filled) == LayerPhase::kFilling;
  if (filling) {
    background.bytes += work_.layers[filled].bytes;
    ahead.fill_finished();
  }
  while (const auto next = ahead.next_fill()) {
    background.busy += work_.layers[*next].stage;
    if (*next == 0) background.busy += work_.connection;
    background.bytes += work_.layers[*next].bytes;
    ahead.fill_started();
    ahead.fill_finished();
  }
  return background;
}

Seconds RearrangementRun::advance(Seconds step) {
  if (idle() || mode_.kind != ModeKind::kAsync) return {};
  Seconds left = step;
  if (machine_.phase() == RearrangementPhase::kPlanning) {
    const Seconds spent = std::min(left, planning_left_);
    planning_left_ -= spent;
    left -= spent;
    if (planning_left_ > Seconds()) return step;
    machine_.planned(work_.layers.size());
    start_next_fill();
  }
  // A fill that needs no time is done as soon as it may start.
  while (!idle()) {
    const std::size_t filling = machine_.layers_committed() + machine_.ready();
    if (filling == machine_.layers() || machine_.layer_phase(filling) != LayerPhase::kFilling) {
      break;
    }
    const Seconds spent = std::min(left, filling_left_);
    filling_left_ -= spent;
    left -= spent;
    if (filling_left_ > Seconds()) break;
    machine_.fill_finished();
    start_next_fill();
  }
  return step - left;
}

Seconds step_beside(Seconds alone, Seconds contended, Seconds quiet, Seconds busy) {
  if (busy <= Seconds() || quiet >= alone) return alone;
  const double rest = 1 - ratio(quiet, alone);  // of the step, once the fill starts
  const Seconds rest_contended = contended * rest;
  if (busy >= rest_contended) return quiet + rest_contended;
  return quiet + busy + alone * (rest - ratio(busy, contended));
}

}  // namespace moeshift
