// SPDX-License-Identifier: Apache-2.0
// One policy served one trace: load in, step times out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "moeshift/simulate/lane_ledger.hpp"
#include "moeshift/simulate/lane_policy.hpp"
#include "moeshift/simulate/lane_settings.hpp"
#include "moeshift/simulate/rearrangement_run.hpp"
#include "moeshift/simulate/served_placement.hpp"
#include "moeshift/simulate/serving_world.hpp"
#include "moeshift/simulate/trickle_policy.hpp"

namespace moeshift {

class StepObserver;

/// Serves steps one by one and rearranges as its settings say.
///
/// A step: ranks fail, join or leave; decide (on the past only); do what is due at the boundary;
/// serve; let the forecaster see the load. The recorded step time is the boundary's stall plus the
/// served step: the inter-token latency that a user sees. Memory does not depend on the number of
/// steps. Deterministic.
///
/// The topology is that of the largest world: a rank that holds nothing has not joined yet, and no
/// tokens start there. A failed rank takes its replicas along and ends what is under way; experts
/// that only it held are read from storage (or are an error), and the policy may plan anew at once.
/// A resize stops the world until the experts are where the policy wants them among the ranks that
/// serve from then on (`static`: expert i % E in the i-th slot of those), as vLLM's elastic
/// scaling.
class Lane {
 public:
  /// @throws InputError when the initial placement does not cover every expert or an event names a
  ///         rank that the deployment does not have.
  Lane(LaneSettings settings, const Deployment& deployment, Placement initial);
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;
  ~Lane() = default;

  /// Serves one recorded step, as so many equal forward passes. The policy sees the recording when
  /// it is over: nothing is ever planned on a load that is still to be scored.
  /// @throws InputError when a rank fails that alone holds an expert and nothing can be reloaded,
  ///         InfeasibleError when the ranks that are left have too few slots.
  /// @param load [layers, experts] (token, expert) pairs of a pass.
  void serve(const LoadMatrix& load, std::size_t passes = 1);
  /// Re-plans for a load known in advance; for the oracle.
  void rearrange_for(const LoadMatrix& load);
  /// Tells `observer` of every step from now on. None by default.
  void observe_with(StepObserver* observer) { observer_ = observer; }

  [[nodiscard]] const LaneSettings& settings() const { return settings_; }
  [[nodiscard]] const Deployment& deployment() const { return deployment_; }
  [[nodiscard]] const Placement& placement() const { return served_.placement(); }
  [[nodiscard]] LaneResult result() const { return ledger_.result(); }

 private:
  void serve_pass(const LoadMatrix& load, bool repeated);
  [[nodiscard]] Seconds change_world();
  void fail_rank(const WorldEvent& event, WorldEventRecord& record);
  void resize(std::size_t ranks, WorldEventRecord& record);
  void start(Proposal proposal);
  void trickle();
  void commit(const std::vector<LayerId>& layers);
  void finish();
  void show(Seconds outage, const RearrangementRun::Boundary& boundary,
            const RearrangementRun::Background& background, Seconds served,
            const LoadMatrix& load) const;
  [[nodiscard]] bool trickles() const { return settings_.mode.kind == ModeKind::kTrickle; }

  const LaneSettings settings_;
  const Deployment& deployment_;
  ServingWorld world_;
  ServedPlacement served_;
  LanePolicy policy_;
  TricklePolicy trickle_;
  RearrangementRun run_;
  LaneLedger ledger_;
  std::optional<Placement> target_;  // of the rearrangement under way
  bool connected_ = false;           // first contact of the ranks is paid
  std::uint64_t recording_ = 0;      // recorded steps served
  StepObserver* observer_ = nullptr;
};

}  // namespace moeshift
