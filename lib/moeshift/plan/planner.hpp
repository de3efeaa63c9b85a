// SPDX-License-Identifier: Apache-2.0
// The question a planner answers, and the form of its answer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "moeshift/core/parallel.hpp"
#include "moeshift/core/progress.hpp"
#include "moeshift/core/units.hpp"
#include "moeshift/model/load.hpp"
#include "moeshift/model/placement.hpp"
#include "moeshift/model/topology.hpp"
#include "moeshift/plan/survive.hpp"

namespace moeshift {

struct RouteSummary;

/// Everything a policy may look at.
struct PlanProblem {
  LoadMatrix load;  ///< [layers, experts] tokens to balance: window sum or forecast
  std::vector<LoadMatrix> samples =
      {};  ///< the windows it was made from, oldest first; may be empty
  /// `samples` are what may come, as a forecaster made them: planned on as they are. Otherwise they
  /// are what was, and `robust` reads them for what comes (forecast/persistence.hpp).
  bool scenarios = false;
  /// Tokens counted for each of `load`: 1 for a count, H for a mean of H steps, 0 where loads are
  /// no counts. Absent: 1 where all of a layer's loads are whole numbers, else 0. `incremental`
  /// doubts what so few tokens say.
  std::optional<double> evidence = {};
  Topology topology;               ///< ranks and nodes to place on
  std::size_t slots = 0;           ///< physical slots per layer; divides by ranks, >= experts
  std::size_t expert_groups = 1;   ///< groups of consecutive experts routed together
  const Placement* old = nullptr;  ///< where the experts are now, if anywhere
  std::uint64_t seed = 0;
  std::vector<RankId> inactive =
      {};  ///< ranks that hold nothing (lost, or not yet joined); ascending
  /// [ranks] how fast each computes, up to a common factor; empty = alike. Policies of ours balance
  /// times and not tokens, the peers know nothing of it; verdicts are of times.
  std::vector<double> rank_speed = {};
  /// Which experts tokens choose together, of the same layers; absent: not known. Heeded where a
  /// policy is made to spare the network (together/together_planner.hpp).
  const RouteSummary* routes = nullptr;
  Survive survive = {};  ///< heeded by `balanced`, `hierarchical`, `incremental` and `robust`

  [[nodiscard]] std::size_t layers() const { return load.rows(); }
  [[nodiscard]] std::size_t experts() const { return load.columns(); }
  [[nodiscard]] std::size_t slots_per_rank() const { return slots / topology.ranks(); }
};

/// What the planner says of one layer.
struct LayerVerdict {
  /// Max over ranks of R[l,g], tokens, even dispatch; over a rank's speed in units of the mean
  /// where ranks differ.
  double peak = 0;
  double imbalance = 1;        ///< peak / mean
  double lower_bound = 0;      ///< no placement of this shape has a smaller peak
  double gap = 0;              ///< peak / lower_bound - 1; 0 for a layer without load
  bool keep = false;           ///< the old placement of this layer was left alone
  bool hasty = false;          ///< time ran out: kept, cut off, or planned with the least effort
  std::size_t duplicates = 0;  ///< slots whose expert sits on the same rank already
  /// A lower peak that EPLB reaches by doubling experts on a rank, as weights; 0 = none known. Ours
  /// never do.
  double doubled_peak = 0;
};

/// What a layer's plan does to the network, where routes are known and were planned for.
struct NetworkVerdict {
  double copies_before = 0;  ///< per token, to ranks: of the policy's own plan
  double copies = 0;         ///< of this plan
  double node_copies_before = 0, node_copies = 0;  ///< to nodes
  Seconds seconds_before, seconds;  ///< of the layer in a step; 0 where nothing is priced
  /// Cost on windows that were left out, this way of planning over the policy's own; 1 = as good.
  /// Copies, or seconds where these are planned for. 0 = nothing to ask.
  double held_out = 0;
  double slack = 0;        ///< imbalance that the search was allowed to give
  bool persisted = false;  ///< the gain showed there, too; otherwise the policy's plan stays
};

/// Why a policy that starts from the old placement put a replica where it was not.
struct MoveReason {
  LayerId layer;
  ExpertId expert;
  RankId rank;                             ///< where the replica comes to live
  ExpertId replaced;                       ///< whose place it takes; none for an empty slot
  LinkClass link = LinkClass::kIntraNode;  ///< nearest holder to `rank`
  double imbalance_before = 1;             ///< of the layer, before the step this is part of
  double imbalance_after = 1;
};

struct PlanResult {
  Placement placement;
  std::vector<LayerVerdict> layers;          ///< [layers]
  std::uint64_t moves_tried = 0;             ///< work done by search policies; reproducible
  std::vector<MoveReason> reasons = {};      ///< of policies that can explain each move, in order
  std::vector<NetworkVerdict> network = {};  ///< [layers], or empty: nothing was asked
};

/// A placement policy. Stateless: equal problems give equal plans on any number of threads.
class Planner {
 public:
  Planner() = default;
  Planner(const Planner&) = delete;
  Planner& operator=(const Planner&) = delete;
  virtual ~Planner() = default;

  /// Chooses where every expert lives. Once `progress` is interrupted, layers that are not planned
  /// yet stay as they are, or are planned with the least effort where they cannot: the plan is
  /// valid at any time, and says which layers are hasty.
  /// @return a placement of the problem's shape in which every expert has a holder.
  /// @throws InputError for a shape that no policy can serve (slots not divisible by ranks, fewer
  ///         slots than experts), InfeasibleError for one that this policy cannot.
  [[nodiscard]] virtual PlanResult plan(const PlanProblem& problem, Threads threads,
                                        Progress& progress) const = 0;
};

}  // namespace moeshift
