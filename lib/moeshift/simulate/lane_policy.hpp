// SPDX-License-Identifier: Apache-2.0
// What decides: when a lane looks at its placement, and what it would rather have.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>

#include "moeshift/forecast/forecaster.hpp"
#include "moeshift/simulate/lane_result.hpp"
#include "moeshift/simulate/served_placement.hpp"

namespace moeshift {

/// A rearrangement that is worth its price.
struct Proposal {
  TransferPrice price = TransferPrice::kFull;
  Placement target;
  RearrangementWork work;  ///< the layers that go, with what first contact of all ranks takes
  Outlook now;             ///< of the load that it was planned on
  Outlook then;
};

/// Forecasts from the past alone (an oracle is told), and proposes by the decision rule.
class LanePolicy {
 public:
  /// All references must outlive it.
  LanePolicy(const LaneSettings& settings, const Deployment& deployment, const ServingWorld& world,
             const ServedPlacement& served);

  /// A decision is due. It stays due until there is a load to plan on, and, as vLLM has it, until
  /// the rearrangement before it has ended.
  [[nodiscard]] bool due(std::uint64_t step, bool under_way, DecisionCounts& counts);
  /// On what has been seen; none, with the reason counted, when all stays as it is.
  [[nodiscard]] std::optional<Proposal> decide(DecisionCounts& counts);
  /// On a load that the caller knows to come.
  [[nodiscard]] std::optional<Proposal> decide_knowing(const LoadMatrix& load,
                                                       DecisionCounts& counts);
  /// The next decision is due at `step`, and nothing is promised any more: the ranks have changed.
  void restart(std::uint64_t step);
  void forget_promise() { promised_imbalance_.reset(); }
  /// Where experts belong among the ranks that serve now; `static` when there is no policy.
  [[nodiscard]] Placement placement_anew() const;

  /// A step has been served, and the recording that it is a pass of is over.
  void see(const LoadMatrix& load);
  void see_balancedness(double balancedness);

  [[nodiscard]] const Forecaster& forecaster() const { return *forecaster_; }
  /// The load of `decide_knowing`, if any.
  [[nodiscard]] const std::optional<LoadMatrix>& known_load() const { return known_load_; }

 private:
  [[nodiscard]] bool skip(const Outlook& now, DecisionCounts& counts) const;
  [[nodiscard]] std::optional<Proposal> propose(const Forecast& forecast, Outlook now,
                                                DecisionCounts& counts);
  [[nodiscard]] PlanProblem problem_of(const Forecast& forecast) const;

  const LaneSettings& settings_;
  const Deployment& deployment_;
  const ServingWorld& world_;
  const ServedPlacement& served_;
  std::unique_ptr<Forecaster> forecaster_;
  std::uint64_t next_decision_;
  bool postponed_counted_ = false;
  bool waits_for_load_ = false;  // a decision is due; the ones after it keep their steps
  std::optional<double> promised_imbalance_;
  std::deque<double> served_balancedness_;  // of the last rule.served_steps steps
  std::optional<LoadMatrix> known_load_;
};

/// How experts travel in a lane: as its settings say, or as suits the cluster, around the dead.
[[nodiscard]] ScheduleOptions schedule_of(const LaneSettings& settings,
                                          const Deployment& deployment, const ServingWorld& world);

}  // namespace moeshift
