// SPDX-License-Identifier: Apache-2.0
// What decides when every step may carry a few bytes: a layer at a time, all the time.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "moeshift/forecast/forecaster.hpp"
#include "moeshift/simulate/lane_result.hpp"
#include "moeshift/simulate/served_placement.hpp"
#include "moeshift/simulate/trickle.hpp"

namespace moeshift {

/// Looks at some layers before every step and proposes the moves that gain most per byte.
class TricklePolicy {
 public:
  /// All references must outlive it.
  TricklePolicy(const LaneSettings& settings, const Deployment& deployment,
                const ServingWorld& world, const ServedPlacement& served);

  /// What goes next, once the moves before are committed; often nothing.
  [[nodiscard]] std::vector<TrickleMove> next(std::uint64_t step, const Forecaster& forecaster,
                                              DecisionCounts& counts);
  /// The ranks have changed: forgets every move and looks at all layers again.
  void restart(std::uint64_t step) { queue_.restart(step); }
  /// What first contact of the ranks takes, as far as moves have told.
  [[nodiscard]] Seconds connection() const { return connection_; }

 private:
  [[nodiscard]] std::optional<TrickleMove> find_move(const Forecast& forecast, LayerId layer,
                                                     DecisionCounts& counts);
  [[nodiscard]] bool pays(const TrickleMove& move) const;

  const LaneSettings& settings_;
  const Deployment& deployment_;
  const ServingWorld& world_;
  const ServedPlacement& served_;
  TrickleQueue queue_;
  Seconds connection_;
};

}  // namespace moeshift
