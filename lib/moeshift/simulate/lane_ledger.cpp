// SPDX-License-Identifier: Apache-2.0
#include "moeshift/simulate/lane_ledger.hpp"

#include <algorithm>

namespace moeshift {

void LaneLedger::open(const RearrangementRecord& record) {
  if (open_ && result_.rearrangements.size() < LaneResult::kRecordsKept) {
    result_.rearrangements.push_back(*open_);
  }
  pending_planned_at_ = result_.steps;
  result_.bytes += record.bytes;
  result_.layers_moved += record.layers;
  open_ = record;
}

void LaneLedger::extend(const RearrangementRecord& more) {
  pending_planned_at_ = result_.steps;
  result_.bytes += more.bytes;
  result_.layers_moved += more.layers;
  if (!open_) open_.emplace().step = result_.steps;
  open_->layers += more.layers;
  open_->transfers += more.transfers;
  open_->bytes += more.bytes;
  open_->predicted += more.predicted;
  open_->predicted_gain += more.predicted_gain;
}

void LaneLedger::finish(bool has_end) {
  moving_ = false;
  if (!has_end) return;
  open_->finished_step = result_.steps;
  result_.longest_rearrangement_steps =
      std::max(result_.longest_rearrangement_steps, result_.steps - open_->step);
}

void LaneLedger::enter(const WorldEventRecord& event) {
  result_.outage += event.reload;
  result_.exposed += event.stall;
  result_.events.push_back(event);
}

void LaneLedger::enter(const Step& step) {
  if (moving_) {
    open_->exposed += step.stall + step.contention;
    open_->overlapped += step.at_work;
  }
  result_.exposed += step.stall + step.contention;
  result_.overlapped += step.at_work;
  result_.step_times.add(step.outage + step.stall + step.served);
  result_.tokens += step.tokens;
  balancedness_sum_ += step.balancedness;
  staleness_sum_ += static_cast<double>(result_.steps - planned_at_);
  ++result_.steps;
}

void LaneLedger::credit(const std::vector<Seconds>& gains, bool in_force) {
  if (!open_) return;
  for (const Seconds gain : gains) open_->gained += gain;
  if (in_force) ++open_->steps_in_force;
}

LaneResult LaneLedger::result() const {
  LaneResult result = result_;
  if (open_ && result.rearrangements.size() < LaneResult::kRecordsKept) {
    result.rearrangements.push_back(*open_);
  }
  if (result.steps > 0) {
    result.balancedness = balancedness_sum_ / static_cast<double>(result.steps);
    result.staleness_steps = staleness_sum_ / static_cast<double>(result.steps);
  }
  return result;
}

}  // namespace moeshift
