// SPDX-License-Identifier: Apache-2.0
// What serves: who holds what in a lane, how tokens are shared, and the seconds of a step with it.
#pragma once

#include <cstdint>
#include <vector>

#include "moeshift/cost/dispatch.hpp"
#include "moeshift/model/load.hpp"
#include "moeshift/model/placement.hpp"
#include "moeshift/simulate/decision.hpp"
#include "moeshift/simulate/rearrangement_work.hpp"
#include "moeshift/simulate/serving_world.hpp"

namespace moeshift {

/// The committed placement, the step served with it last, and what that step would have taken with
/// the layers as they were before the last commit: the gain of a rearrangement.
class ServedPlacement {
 public:
  /// All references must outlive it.
  ServedPlacement(const LaneSettings& settings, const ServingWorld& world, Placement initial);

  /// Works out a step. @param number of the step: seeds what is drawn for it.
  /// @param repeated the load is the one of the call before; what still holds is kept.
  void serve(const LoadMatrix& load, std::uint64_t number, bool repeated);
  /// Of the step served last, with the links to itself.
  [[nodiscard]] Seconds alone() const;
  /// The same while `bytes` travel beside it.
  [[nodiscard]] Seconds contended(const LoadMatrix& load, const BytesByLink& bytes) const;
  /// Share of staging time that serving a load loses to it. @param now its outlook.
  [[nodiscard]] double slowdown(const LoadMatrix& load, const Outlook& now,
                                const BytesByLink& bytes) const;
  /// Mean over layers of mean / max rank load, of the step served last.
  [[nodiscard]] double balancedness() const { return balancedness_; }
  /// What each layer gained in the step served last, [layers].
  [[nodiscard]] const std::vector<Seconds>& layer_gains() const { return layer_gains_; }
  /// Some layer has been committed since `start_baseline`.
  [[nodiscard]] bool has_baseline() const;

  /// Switches layers to those of `target`. @param first_baseline gains are measured against the
  /// layer before its first commit, not its last: what trickles in is one change.
  void commit(const Placement& target, const std::vector<LayerId>& layers, bool first_baseline);
  /// Another placement among other ranks; it has no gains.
  void replace(Placement placement);
  /// Gains count from the next commits on.
  void start_baseline();

  /// How `placement` would serve a load that is expected.
  [[nodiscard]] Outlook outlook(const Placement& placement, const LoadMatrix& load) const;
  /// Of an expected load, or, when that is empty, of any load.
  [[nodiscard]] LayerDispatch shares(const Placement& placement, LayerId layer,
                                     const LoadMatrix& load) const;

  [[nodiscard]] const Placement& placement() const { return placement_; }
  [[nodiscard]] const std::vector<LayerDispatch>& dispatch() const { return dispatch_; }

 private:
  [[nodiscard]] DispatchOptions options() const;
  [[nodiscard]] bool dispatch_follows_load() const;
  void dispatch_step(const LoadMatrix& load, std::uint64_t number);
  [[nodiscard]] std::vector<LayerDispatch> dispatch_of(const Placement& placement,
                                                       const LoadMatrix& load) const;

  const LaneSettings& settings_;
  const ServingWorld& world_;
  Placement placement_;
  std::vector<LayerDispatch> dispatch_;               // [layers]
  std::vector<LayerDispatch> dispatch_before_;        // [layers] of the baseline; empty: none yet
  IdMatrix<LayerId, SlotId, ExpertId> slots_before_;  // what those are of
  // Of the step served last:
  std::vector<Seconds> layer_seconds_;  // [layers]
  std::vector<Seconds> layer_gains_;    // [layers]
  Seconds outside_;                     // of all layers
  double balancedness_ = 1;
  bool valid_ = false;  // they still hold for the same load
};

}  // namespace moeshift
