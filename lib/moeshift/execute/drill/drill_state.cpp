// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/drill/drill_state.hpp"

#include <algorithm>
#include <csignal>
#include <thread>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

using Kind = FaultDrill::Kind;

/// Happens at a phase, and not by its nature.
bool has_phase(Kind kind) {
  return kind == Kind::kKill || kind == Kind::kSleep || kind == Kind::kError ||
         kind == Kind::kInterrupt;
}

}  // namespace

DrillState::DrillState(const std::vector<FaultDrill>& drills) {
  for (const FaultDrill& drill : drills) armed_.push_back({drill});
}

void DrillState::attach(const ControlPlane& control, DeviceMemory& memory) {
  control_ = &control;
  memory_ = &memory;
}

bool DrillState::has(Kind kind) const {
  return std::ranges::any_of(armed_, [&](const Armed& a) { return a.drill.kind == kind; });
}

bool DrillState::concerns(const FaultDrill& drill, std::size_t unit) const {
  return unit < departure_.units.size() &&
         std::ranges::count(departure_.units[unit], drill.layer) > 0;
}

void DrillState::issues(RankId, std::size_t unit) {
  for (Armed& armed : armed_) {
    if (!concerns(armed.drill, unit)) continue;
    if (armed.drill.kind == Kind::kLose) muted_ = true;
    const bool here = has_phase(armed.drill.kind) && armed.drill.phase == Phase::kStaging;
    if (here && !armed.over) armed.due = true;
  }
}

void DrillState::votes(RankId, std::size_t committed, std::size_t staged) {
  vote_ = staged;
  for (Armed& armed : armed_) {
    if (armed.over || !has_phase(armed.drill.kind) || armed.drill.phase != Phase::kStaged) continue;
    for (std::size_t unit = committed; unit < *vote_; ++unit) {
      if (!concerns(armed.drill, unit)) continue;
      armed.due = unit == committed;
      if (!armed.due) vote_ = unit;
      break;
    }
  }
}

void DrillState::reached(const LayerStep& step) {
  for (Armed& armed : armed_) {
    const FaultDrill& drill = armed.drill;
    if (armed.over || drill.layer != step.layer) continue;
    if (step.phase == Phase::kVoted && has_phase(drill.kind) && drill.phase == Phase::kVoted) {
      armed.due = true;
    }
    const bool live = step.phase == Phase::kCommitted && step.last_wave;
    if (live && drill.kind == Kind::kCorrupt) {
      armed.over = true;
      memory_->corrupt(departure_.live_slot(step.layer, drill.slot));
    }
  }
}

void DrillState::strike(Phase phase) {
  for (Armed& armed : armed_) {
    if (!armed.due || armed.drill.phase != phase) continue;
    armed.due = false;
    armed.over = true;
    if (armed.drill.kind == Kind::kKill) std::raise(SIGKILL);
    if (armed.drill.kind == Kind::kError) throw DeviceError("transport error injected");
    if (armed.drill.kind == Kind::kInterrupt) interrupted_ = true;
    if (armed.drill.kind == Kind::kSleep) sleep(armed.drill.duration);
  }
}

/// Deaf as well, until the others have given up: then the process may end.
void DrillState::sleep(Seconds duration) const {
  const Deadline end = Deadline::in(duration);
  while (!end.expired() && !control_->failure()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

std::optional<std::size_t> DrillState::take_vote() {
  return std::exchange(vote_, std::nullopt);
}

}  // namespace moeshift
