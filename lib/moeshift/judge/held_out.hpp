// SPDX-License-Identifier: Apache-2.0
// Several policies on equal terms, judged on steps that they have not seen.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "moeshift/core/parallel.hpp"
#include "moeshift/core/progress.hpp"
#include "moeshift/core/units.hpp"
#include "moeshift/cost/balance.hpp"
#include "moeshift/cost/dispatch.hpp"
#include "moeshift/judge/held_out_network.hpp"
#include "moeshift/judge/ranking.hpp"
#include "moeshift/model/cluster.hpp"
#include "moeshift/model/load.hpp"
#include "moeshift/model/placement.hpp"
#include "moeshift/model/transfer_plan.hpp"
#include "moeshift/plan/planner.hpp"

namespace moeshift {

/// Windows that judge, in the order of time: in memory, or read again whenever they are asked for.
class HeldOutWindows {
 public:
  using Visit = std::function<void(const LoadMatrix&)>;

  HeldOutWindows() = default;
  HeldOutWindows(std::vector<LoadMatrix> windows);  // NOLINT(google-explicit-constructor)
  /// @param each calls a visitor with every window.
  /// @param sum of all of them.
  HeldOutWindows(std::function<void(const Visit&)> each, LoadMatrix sum)
      : each_(std::move(each)), sum_(std::move(sum)) {}

  void each(const Visit& visit) const { each_(visit); }
  [[nodiscard]] const LoadMatrix& sum() const { return sum_; }

 private:
  std::function<void(const Visit&)> each_ = [](const Visit&) {};
  LoadMatrix sum_;
};

/// Everything that is the same for all policies of one setting.
///
/// The experts move away from `from`; without it from what the policy itself makes of `before`;
/// without both from an engine's initial map (policy `static`).
struct Comparison {
  PlanProblem train;    ///< what they plan on; a replay fills loads and samples by itself
  HeldOutWindows test;  ///< that judge them
  std::optional<LoadMatrix> before;
  std::optional<Placement> from;
  std::optional<Cluster> cluster;           ///< with `expert_sizes`: the move is priced
  std::optional<ExpertSizes> expert_sizes;  ///< absent: transfers are counted, bytes are not
  DispatchOptions dispatch = {};
  std::optional<std::string> forecaster = {};  ///< of a replay: planned on instead of the windows
  std::optional<ComparedRoutes> routes = {};   ///< not of a replay
};

/// What one policy came to under one setting.
struct ComparisonRow {
  std::string policy;
  std::string setting;  ///< what else tells the row from others: "288 slots"; may be empty
  std::size_t slots = 0;
  std::string planned_on;      ///< "steps 0:4", "the 2 windows before"
  RankLoads train_loads;       ///< under the new placement; empty after a replay
  RankLoads test_loads;        ///< of all held-out windows together; empty after a replay
  std::vector<double> scores;  ///< balancedness of every held-out window
  Balance train;               ///< filled by `judge_rows`, or by the replay as a mean over windows
  Balance test;                ///< likewise
  std::size_t rearrangements = 1;  ///< that the figures below are means of
  double transfers = 0;            ///< all layers together
  double transfers_beyond_node = 0;
  std::array<double, kLinkClasses> bytes_by_link{};  ///< only with Comparison::expert_sizes
  std::optional<Seconds> predicted;
  Seconds planning;
  std::optional<NetworkScores> network = {};  ///< with Comparison::routes

  [[nodiscard]] std::string name() const;
  [[nodiscard]] double bytes_beyond_node() const;
  [[nodiscard]] double mean_score() const;
  [[nodiscard]] double worst_score() const;
  /// The 5th percentile, nearest rank.
  [[nodiscard]] double low_score() const;
};

/// A row, and the placement that its policy came to.
struct PlannedRow {
  ComparisonRow row;
  Placement placement;
};

/// Plans the previous placement, plans on the training loads from there, schedules and prices the
/// move, and loads the new placement with both; no window has judged it yet.
[[nodiscard]] PlannedRow plan_policy(const Comparison& comparison, const std::string& policy,
                                     const Planner& planner, Threads threads, Progress& progress);

/// Fills `scores`: one pass over the held-out windows for all rows.
void score_rows(const Comparison& comparison, std::span<PlannedRow> rows);

/// Both, of one policy.
[[nodiscard]] ComparisonRow try_policy(const Comparison& comparison, const std::string& policy,
                                       const Planner& planner, Threads threads, Progress& progress);

/// Rolling origin: before every window the policy plans on the last `history` ones, from where its
/// experts are; then the window judges. The first plan, away from the initial map, counts as a move
/// only when it is the only one.
class PolicyReplay {
 public:
  /// @param planner and `comparison` outlive this. @param plans how often judge() will be called.
  PolicyReplay(const Comparison& comparison, std::string policy, const Planner& planner,
               std::size_t history, std::size_t plans);

  /// @param past the windows before `window`, at least `history`, oldest first.
  void judge(std::span<const LoadMatrix> past, const LoadMatrix& window, Progress& progress);
  [[nodiscard]] ComparisonRow row() const;

 private:
  const Comparison* comparison_;
  const Planner* planner_;
  std::size_t history_;
  std::size_t plans_;
  std::optional<Placement> placement_;
  std::vector<Balance> train_;
  std::vector<Balance> test_;
  ComparisonRow row_;
};

/// Fills `train` and `test` of rows of one comparison. All are held against the same lower bounds:
/// the tightest that the best of them certifies.
void judge_rows(const Comparison& comparison, Threads threads, std::vector<ComparisonRow>& rows);

/// Who is best on the held-out windows, and how sure that is.
struct Standings : Ranking {
  std::size_t reference = 0;  ///< the row that others are compared with
  std::vector<PairedDifference> differences =
      {};                   ///< [rows] balancedness of the row - the reference's
  std::size_t thrifty = 0;  ///< of best and tied the one that moves least
};

/// Ranks by mean balancedness, window by window; the cost is transfers.
/// @param rows at least one, all with scores of the same windows.
[[nodiscard]] Standings standings_of(const std::vector<ComparisonRow>& rows, std::size_t reference,
                                     std::uint64_t seed);

}  // namespace moeshift
