// SPDX-License-Identifier: Apache-2.0
// One layer re-planned from its old placement, in a form of which any part can be taken.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "moeshift/plan/layered_planner.hpp"
#include "moeshift/plan/search/window_loads.hpp"
#include "moeshift/plan/search/window_search.hpp"
#include "moeshift/plan/warm/incremental.hpp"
#include "moeshift/plan/warm/spread_budget.hpp"

namespace moeshift {

/// The search from a layer's old placement, kept so that any prefix of it can be taken; and, where
/// single exchanges lead nowhere good, a placement rebuilt at once instead:
///
/// - The old placement does not know the load: it evens the windows out hardly better than an
///   engine's initial map, so that nothing in it is worth keeping. Exchanges from there end in
///   plans that fit the windows and nothing else. The layer is planned afresh, if that pays.
/// - One slot per rank: new replica counts (single_slots.hpp).
/// - Two slots per rank: new replica counts by ejection chains (pair_chains.hpp), where these pay.
///
/// What ends short of EPLB's balance on its one window goes on without doubt, and where that ends
/// short as well, a fresh plan that keeps what it can takes its place, at the price. Over several
/// windows that is tried where more than a tenth is to be gained. Under a budget there is only the
/// search.
class WarmLayer {
 public:
  /// Searches. `problem` outlives this.
  WarmLayer(const LayerProblem& problem, const IncrementalOptions& options);

  /// What best_prefix() says when the rebuilt placement is better than any prefix.
  static constexpr std::size_t kRebuilt = std::numeric_limits<std::size_t>::max();

  /// The best prefix by risk + price of the cost; none of it when the gain is not worth a move.
  [[nodiscard]] std::size_t best_prefix() const;
  /// Transfers and tokens on the busiest rank after every prefix.
  [[nodiscard]] std::vector<TrajectoryPoint> trajectory() const;
  [[nodiscard]] LayerPlan take(std::size_t prefix) const;

 private:
  [[nodiscard]] MovePrice move_price() const;
  [[nodiscard]] WindowSearchOptions search_options() const;
  [[nodiscard]] double bound_of_load() const;
  [[nodiscard]] double mean_of_load() const;
  [[nodiscard]] double bound() const;
  [[nodiscard]] bool knows_the_load() const;
  void rebuild(std::vector<std::uint32_t> placed, const MovePrice& price);
  void rebuild_singles();
  void rebuild_pairs();
  [[nodiscard]] double target() const;
  [[nodiscard]] double wanted() const;
  [[nodiscard]] double risk_of_best() const;
  void catch_up();
  void hold_floor();
  [[nodiscard]] std::vector<std::uint32_t> relabelled_fresh_plan() const;
  void go_on(double enough);
  void offer(std::vector<std::uint32_t> placed);
  [[nodiscard]] bool rebuilt_beats(std::size_t prefix) const;
  [[nodiscard]] double arrives(std::size_t slot, std::uint32_t expert) const;
  [[nodiscard]] bool on_node_of(std::size_t rank, ExpertId expert) const;
  [[nodiscard]] MoveReason reason(std::size_t slot, std::uint32_t expert, std::uint32_t replaced,
                                  double before, double after) const;
  [[nodiscard]] std::vector<MoveReason> reasons(std::size_t prefix,
                                                std::span<const ExpertId> final_slots) const;
  [[nodiscard]] std::vector<MoveReason> reasons_of_rebuilding() const;
  [[nodiscard]] std::vector<MoveReason> last_of_each(std::span<const MoveReason> all,
                                                     std::span<const ExpertId> final_slots) const;

  const LayerProblem& problem_;
  IncrementalOptions options_;
  double worth_moving_ = 0;  ///< what the peak must be above its aim (believed_load.hpp)
  WindowLoads loads_;
  std::vector<double> mean_;
  double of_load_;  ///< bound of the load, tokens; 0 = not known
  double bound_;    ///< of the mean load, in units of the mean rank load
  std::vector<float> prices_;
  WindowSearch search_;
  std::vector<std::uint32_t> rebuilt_;  ///< [slots]; empty = not rebuilt
  double rebuilt_risk_ = 0;
  double rebuilt_price_ = 0;  ///< risk that its moves must buy
};

}  // namespace moeshift
