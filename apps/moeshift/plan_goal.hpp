// SPDX-License-Identifier: Apache-2.0
// What a plan is good for: which objective, scored how, and what a saved second is worth.
#pragma once

#include <optional>
#include <string>

#include "moeshift/cost/dispatch.hpp"
#include "moeshift/cost/objective.hpp"
#include "moeshift/model/load.hpp"
#include "moeshift/plan/policy_options.hpp"

#include "apps/moeshift/cli.hpp"
#include "apps/moeshift/planning.hpp"

namespace moeshift::cli {

/// The options that say what a placement is judged by.
struct PlanGoal {
  std::string objective = "tokens";
  std::optional<double> tokens_per_step;
  std::optional<std::string> serving;
  std::string dispatch = "even";

  void declare(Options& options);

  /// @param steps recorded steps that the planned load sums up.
  /// @throws InputError for `seconds` without cluster and model, or a bad number of tokens.
  [[nodiscard]] Objective resolve(Session& session, const PlanShape& shape,
                                  const TraceHeader& trace, std::size_t steps) const;
  [[nodiscard]] DispatchOptions dispatch_options(Session& session) const;

  /// Turns --price seconds:H into the number that policies take; leaves a number alone.
  ///
  /// A transfer is charged its time alone on its link, message + bytes / slowest of pair and ports,
  /// as if the world stood still for it and nothing overlapped: an upper bound of what it costs.
  /// It must save that much in H steps. A step saves, per unit of imbalance (max / mean) of a
  /// layer, the mean rank's pairs (token, expert) times the seconds that one takes; reading of
  /// weights, which decoding waits for, is not counted. The inter-node price follows from the
  /// links.
  /// @throws InputError without cluster and model, or for a bad H.
  void resolve_price(Session& session, const PlanShape& shape, const TraceHeader& trace,
                     const LoadMatrix& load, std::size_t steps, PolicyOptions& policy) const;
};

}  // namespace moeshift::cli
