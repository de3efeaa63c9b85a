// SPDX-License-Identifier: Apache-2.0
// One policy served one trace: load in, step times out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "moeshift/cost/dispatch.hpp"
#include "moeshift/cost/serving_model.hpp"
#include "moeshift/forecast/forecaster.hpp"
#include "moeshift/model/cluster.hpp"
#include "moeshift/model/placement.hpp"
#include "moeshift/plan/planner.hpp"
#include "moeshift/schedule/scheduler.hpp"
#include "moeshift/simulate/decision.hpp"
#include "moeshift/simulate/lane_result.hpp"
#include "moeshift/simulate/mode.hpp"
#include "moeshift/simulate/rearrangement_run.hpp"
#include "moeshift/simulate/trickle.hpp"
#include "moeshift/simulate/world_event.hpp"

namespace moeshift {

class StepObserver;

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
  /// How experts travel; none: as suits the cluster. Who is dead the lane knows itself.
  std::optional<ScheduleOptions> schedule = {};
  TransferPrice price = TransferPrice::kFull;
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
  ~Lane();
  Lane(Lane&&) noexcept;

  /// Serves one step.
  /// @throws InputError when a rank fails that alone holds an expert and nothing can be reloaded,
  ///         InfeasibleError when the ranks that are left have too few slots.
  /// @param load [layers, experts] (token, expert) pairs.
  /// @param repeated the load is the one of the call before: its step time need not be worked out
  ///        again.
  void serve(const LoadMatrix& load, bool repeated = false);
  /// Re-plans for a load known in advance; for the oracle.
  void rearrange_for(const LoadMatrix& load);
  /// Tells `observer` of every step from now on. None by default.
  void observe_with(StepObserver* observer) { observer_ = observer; }

  [[nodiscard]] const LaneSettings& settings() const { return settings_; }
  [[nodiscard]] const Deployment& deployment() const { return deployment_; }
  [[nodiscard]] const Placement& placement() const { return placement_; }
  [[nodiscard]] LaneResult result() const;

 private:
  // lane_decisions.cpp
  void decide();
  [[nodiscard]] bool skip(const Outlook& now);
  void rearrange(const Forecast& forecast, const Outlook& now);
  void start(RearrangementWork work, const Outlook& now, const Outlook& then);
  void open_record(RearrangementRecord record);
  void finish_record();
  [[nodiscard]] PlanProblem problem_of(const Forecast& forecast) const;
  [[nodiscard]] ScheduleOptions schedule() const;
  [[nodiscard]] double slowdown_of(const LoadMatrix& load, const Outlook& now,
                                   const BytesByLink& bytes) const;
  // lane_trickle.cpp
  void trickle();
  [[nodiscard]] ExpertSizes sizes_of(LayerId layer) const;
  [[nodiscard]] std::optional<TrickleMove> find_move(const Forecast& forecast, LayerId layer);
  [[nodiscard]] bool pays(const TrickleMove& move) const;
  void begin_trickle(std::vector<TrickleMove> moves);
  // lane_world.cpp
  [[nodiscard]] Seconds change_world();
  void fail_rank(RankId rank, WorldEventRecord& record);
  void resize(std::size_t ranks, WorldEventRecord& record);
  void reload_lost(WorldEventRecord& record);
  void set_serving(std::vector<bool> serving);
  void replace_placement(Placement placement);
  // lane.cpp
  /// Of an expected load, or, when that is empty, of any load.
  [[nodiscard]] LayerDispatch shares_of(const Placement& placement, LayerId layer,
                                        const LoadMatrix& load) const;
  [[nodiscard]] bool dispatch_follows_load() const;
  void dispatch_step(const LoadMatrix& load);
  [[nodiscard]] std::vector<LayerDispatch> dispatch_of(const Placement& placement,
                                                       const LoadMatrix& load) const;
  [[nodiscard]] LinkContention contention_of(const BytesByLink& bytes) const;
  void commit(const std::vector<LayerId>& layers);
  void serve_alone(const LoadMatrix& load);
  [[nodiscard]] Seconds contended_seconds(const LoadMatrix& load, const BytesByLink& bytes) const;
  void count(const LoadMatrix& load, Seconds stall, Seconds outage, Seconds served,
             Seconds contention, Seconds at_work);
  void show(Seconds outage, const RearrangementRun::Boundary& boundary,
            const RearrangementRun::Background& background, Seconds served,
            const LoadMatrix& load) const;
  void credit_gains(const LoadMatrix& load);

  LaneSettings settings_;
  const Deployment& deployment_;
  std::unique_ptr<Forecaster> forecaster_;
  RearrangementRun run_;
  TrickleQueue queue_;
  StepObserver* observer_ = nullptr;

  ServingModel model_;                    // among the ranks that serve
  std::vector<bool> serving_;             // [ranks]
  std::vector<RankId> inactive_;          // those that do not
  std::vector<RankId> failed_;            // and of them those whose memory is gone
  std::size_t next_event_ = 0;            // in settings_.events
  std::optional<LoadMatrix> known_load_;  // of the oracle's window

  Placement placement_;                         // as committed
  Placement target_;                            // of the rearrangement under way
  std::vector<LayerDispatch> dispatch_;         // [layers] of placement_
  std::vector<LayerDispatch> dispatch_before_;  // [layers] before the last commit; empty = never
  IdMatrix<LayerId, SlotId, ExpertId> slots_before_;  // what those are of
  std::vector<Seconds> layer_seconds_;                // [layers] of the last step, alone
  Seconds outside_;                                   // of the last step
  double balancedness_ = 1;                           // of the last step
  std::vector<Seconds> gain_per_layer_;               // [layers] of the last step
  bool served_valid_ = false;               // the three above still hold for a repeated load
  std::deque<double> served_balancedness_;  // of the last rule.served_steps steps

  std::uint64_t next_decision_ = 0;
  std::uint64_t planned_at_ = 0;  // step of the load the present placement was planned on
  std::uint64_t pending_planned_at_ = 0;
  std::optional<double> promised_imbalance_;
  bool postponed_counted_ = false;
  std::optional<RearrangementRecord> open_;  // the newest rearrangement
  bool moving_ = false;                      // it is under way
  bool connected_ = false;                   // first contact of the ranks is paid
  Seconds connection_;                       // what that takes, as far as is known
  double balancedness_sum_ = 0;
  double staleness_sum_ = 0;
  LaneResult result_;
};

}  // namespace moeshift
