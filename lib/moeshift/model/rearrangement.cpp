// SPDX-License-Identifier: Apache-2.0
#include "moeshift/model/rearrangement.hpp"

#include <algorithm>

#include "moeshift/core/error.hpp"

namespace moeshift {

std::string_view name_of(RearrangementPhase phase) {
  switch (phase) {
    case RearrangementPhase::kIdle:
      return "idle";
    case RearrangementPhase::kPlanning:
      return "planning";
    case RearrangementPhase::kStaging:
      return "staging";
    case RearrangementPhase::kReady:
      return "ready";
    case RearrangementPhase::kCommitting:
      break;
  }
  return "committing";
}

Rearrangement::Rearrangement(const RearrangementLimits& limits) : limits_(limits) {
  MOESHIFT_CHECK(limits.buffers >= 1 && limits.staged_at_once >= 1);
}

RearrangementPhase Rearrangement::phase() const {
  if (planning_) return RearrangementPhase::kPlanning;
  if (committed_ == layers_) return RearrangementPhase::kIdle;
  if (voted_ > committed_) return RearrangementPhase::kCommitting;
  return staged_ > voted_ ? RearrangementPhase::kReady : RearrangementPhase::kStaging;
}

LayerPhase Rearrangement::layer_phase(std::size_t layer) const {
  MOESHIFT_CHECK(layer < layers_);
  if (layer < committed_) return LayerPhase::kCommitted;
  if (layer < voted_) return LayerPhase::kCommitting;
  if (layer < staged_) return LayerPhase::kReady;
  return layer < started_ ? LayerPhase::kStaging : LayerPhase::kWaiting;
}

void Rearrangement::begin() {
  MOESHIFT_CHECK(idle());
  planning_ = true;
}

void Rearrangement::planned(std::size_t layers) {
  MOESHIFT_CHECK(planning_);
  planning_ = false;
  layers_ = allowed_ = layers;
  started_ = staged_ = voted_ = committed_ = 0;
}

std::optional<std::size_t> Rearrangement::next_to_stage() const {
  const bool busy = started_ - staged_ >= limits_.staged_at_once;
  const bool buffer_free = started_ - committed_ < limits_.buffers;
  if (planning_ || busy || !buffer_free || started_ >= std::min(layers_, allowed_)) {
    return std::nullopt;
  }
  return started_;
}

void Rearrangement::staging_started() {
  MOESHIFT_CHECK(next_to_stage().has_value());
  ++started_;
}

void Rearrangement::staging_finished() {
  MOESHIFT_CHECK(started_ > staged_);
  ++staged_;
}

std::size_t Rearrangement::vote(std::size_t agreed) {
  MOESHIFT_CHECK(agreed <= ready() && voted_ == committed_);
  const std::size_t count =
      limits_.commits_per_step == 0 ? agreed : std::min(agreed, limits_.commits_per_step);
  voted_ += count;
  return count;
}

void Rearrangement::committed() {
  MOESHIFT_CHECK(voted_ > committed_);
  ++committed_;
}

void Rearrangement::abort() {
  planning_ = false;
  started_ = staged_ = layers_ = voted_;
}

}  // namespace moeshift
