// SPDX-License-Identifier: Apache-2.0
// The ledger of a lane: every step, byte and rearrangement, each entered once.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "moeshift/simulate/lane_result.hpp"

namespace moeshift {

/// Adds up what a lane did. A record is opened when a rearrangement starts, is under way until it
/// has ended, and goes on earning until the next one is opened.
class LaneLedger {
 public:
  explicit LaneLedger(std::string name) { result_.name = std::move(name); }

  [[nodiscard]] std::uint64_t steps() const { return result_.steps; }  ///< served so far
  [[nodiscard]] Seconds clock() const { return result_.step_times.sum(); }
  [[nodiscard]] DecisionCounts& decisions() { return result_.decisions; }

  /// A rearrangement of now; its bytes and layers count at once.
  void open(const RearrangementRecord& record);
  /// More of the same: what trickles in has one record. Opens it the first time.
  void extend(const RearrangementRecord& more);
  /// The placement planned now goes live from here on.
  void committed() { planned_at_ = pending_planned_at_; }
  void under_way() { moving_ = true; }
  [[nodiscard]] bool is_under_way() const { return moving_; }
  /// @param has_end trickling has none.
  void finish(bool has_end = true);
  /// Ranks have failed, joined or left; `moved` is what a resize took.
  void enter(const WorldEventRecord& event);

  struct Step {
    double tokens = 0;
    Seconds outage;      ///< before it: ranks failing, joining or leaving
    Seconds stall;       ///< before it: the rearrangement's boundary
    Seconds served;      ///< contention included
    Seconds contention;  ///< part of `served` that is lost to the rearrangement
    Seconds at_work;     ///< of the rearrangement beside it
    double balancedness = 1;
  };
  void enter(const Step& step);
  /// What the newest rearrangement gained in this step. @param gains [layers].
  void credit(const std::vector<Seconds>& gains, bool in_force);

  [[nodiscard]] LaneResult result() const;

 private:
  LaneResult result_;
  std::optional<RearrangementRecord> open_;  // the newest rearrangement
  bool moving_ = false;                      // it is under way
  std::uint64_t planned_at_ = 0;  // step of the load the present placement was planned on
  std::uint64_t pending_planned_at_ = 0;
  double balancedness_sum_ = 0;
  double staleness_sum_ = 0;
};

}  // namespace moeshift
