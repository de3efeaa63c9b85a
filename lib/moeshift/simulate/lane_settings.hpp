// SPDX-License-Identifier: Apache-2.0
// What tells one lane from another, and what all lanes share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "moeshift/cost/dispatch.hpp"
#include "moeshift/cost/serving_model.hpp"
#include "moeshift/model/cluster.hpp"
#include "moeshift/plan/planner.hpp"
#include "moeshift/schedule/scheduler.hpp"
#include "moeshift/simulate/decision.hpp"
#include "moeshift/simulate/mode.hpp"
#include "moeshift/simulate/world_event.hpp"

namespace moeshift {

/// What a rearrangement costs in this lane.
enum class TransferPrice : std::uint8_t {
  kFull,  ///< as the cost model says
  kFree,  ///< nothing and at once: what the policy alone is worth
};

/// Everything that tells one lane from another.
struct LaneSettings {
  std::string name;
  std::shared_ptr<const Planner> planner = nullptr;  ///< none: the initial placement stays
  std::string forecaster = "mean:1000";
  DecisionRule rule = {};
  ModeOptions mode = {};
  DispatchOptions dispatch = {};
  /// Which experts tokens choose together, for policies that spare the network; recorded apart from
  /// the traffic that is served, so that nobody plans on what is to come. Must outlive the lane.
  const RouteSummary* routes = nullptr;
  /// How experts travel; none: as suits the cluster. Who is dead the lane knows itself.
  std::optional<ScheduleOptions> schedule = {};
  TransferPrice price = TransferPrice::kFull;
  /// The first rearrangement is a start with that placement: free, and at once.
  bool starts_planned = false;
  /// Decisions are made only by `rearrange_for`, on a load that the caller knows to come.
  bool oracle = false;
  /// What happens to the ranks, by ascending step.
  std::vector<WorldEvent> events = {};
  /// Experts whose last holder failed are read from storage by each rank at this rate while the
  /// world waits; absent: losing one is an error.
  std::optional<BytesPerSecond> reload = {};
  std::uint64_t seed = 0;
};

/// What all lanes of one deployment share. Must outlive them.
struct Deployment {
  ServingModel model;
  Cluster cluster;
  ExpertSizes expert_sizes;
  std::size_t expert_groups = 1;

  [[nodiscard]] const Topology& topology() const { return model.topology(); }
};

}  // namespace moeshift
