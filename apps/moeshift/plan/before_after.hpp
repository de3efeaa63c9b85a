// SPDX-License-Identifier: Apache-2.0
// What a plan replaces, what replacing it costs, and after how many steps that has paid.
#pragma once

#include <optional>
#include <string>

#include "moeshift/core/parallel.hpp"
#include "moeshift/core/units.hpp"
#include "moeshift/cost/balance.hpp"
#include "moeshift/cost/dispatch.hpp"
#include "moeshift/cost/serving_parameters.hpp"
#include "moeshift/model/cluster.hpp"
#include "moeshift/model/expert_sizes.hpp"
#include "moeshift/model/transfer_plan.hpp"
#include "moeshift/plan/planner.hpp"
#include "moeshift/report/report.hpp"

namespace moeshift::cli {

/// The machine as it moves experts and serves; what is not known is left out of the answer.
struct PlannedMachine {
  std::optional<Cluster> cluster;
  std::optional<ExpertSizes> sizes;
  std::optional<ServingParameters> serving;
  std::size_t top_k = 1;
  std::optional<double> tokens_per_step;  ///< of a forward pass; absent: as recorded
  std::size_t steps = 1;                  ///< recorded ones that the load is the sum of
};

/// Seconds of one forward pass of `tokens` tokens.
struct StepTimes {
  double tokens = 0;
  Seconds before;
  Seconds after;

  [[nodiscard]] Seconds saved() const { return before - after; }
};

/// The placement in force, or what engines start with, beside the new one.
struct BeforeAfter {
  std::string name;                 ///< of what was before
  std::optional<RankLoads> before;  ///< [layers, ranks]; none where it cannot serve this load
  TransferTotals moves;
  std::optional<Seconds> moving;  ///< needs cluster and sizes
  std::optional<StepTimes> step;  ///< needs how the machine serves

  /// Steps until the move has paid; nothing where steps get no faster or times are not known.
  [[nodiscard]] std::optional<double> worth_after() const;
};

/// @param after rank loads of `plan`.
/// @throws what scheduling throws. O(layers * slots), and what the schedule takes.
[[nodiscard]] std::optional<BeforeAfter> before_and_after(const PlanProblem& problem,
                                                          const PlanResult& plan,
                                                          const DispatchOptions& rule,
                                                          const PlannedMachine& machine,
                                                          Threads threads);

/// Balancedness, busiest rank, step time, moves, bytes and seconds, side by side; and whether that
/// is worth it. Also into `result.before` and `result.move`.
void add_before_after(const BeforeAfter& change, const Balance& after, std::size_t serving,
                      bool with_bytes, Report& report);

}  // namespace moeshift::cli
