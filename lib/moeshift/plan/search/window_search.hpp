// SPDX-License-Identifier: Apache-2.0
// Local search over several windows at once, with a price on every replica that moves.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "moeshift/core/progress.hpp"
#include "moeshift/plan/search/risk.hpp"
#include "moeshift/plan/search/window_loads.hpp"
#include "moeshift/plan/search/window_state.hpp"

namespace moeshift {

/// Holders that every expert must keep.
struct HolderRule {
  std::size_t least = 1;                        ///< replicas, or nodes where `node_of` is given
  std::span<const std::uint32_t> node_of = {};  ///< [ranks] ascending
};

/// What moves must buy. With `full_from` the price of a further unit rises evenly from 0 to
/// `per_unit`.
struct MovePrice {
  double per_unit = 0;   ///< risk that one unit of cost must buy
  double full_from = 0;  ///< units of cost from which on it must

  /// Risk that `cost` must buy altogether.
  [[nodiscard]] double of(double cost) const {
    if (full_from > 0 && cost < full_from) return per_unit * cost * cost / (2 * full_from);
    return per_unit * (cost - full_from / 2);
  }
};

struct WindowSearchOptions {
  Risk risk;
  MovePrice price;
  double budget = std::numeric_limits<double>::infinity();  ///< most cost at any time
  double target = 1;  ///< stop once the risk is this low (1 = perfectly balanced)
  std::size_t max_steps = 400;
  /// Steps without a better plan, per pass; at least one per 64 ranks.
  std::size_t patience = 6;
  /// tau = 1 + cut (peak - 1), one pass per cut. 0, the mean, evens all ranks out and moves least;
  /// a larger one then looks at the peaks alone.
  std::vector<double> cuts = {0.0, 0.6};
  /// [ranks] who is near whom, where more than 32 ranks are too many to try; may be empty.
  std::span<const std::uint32_t> node_of = {};
  /// [ranks] speeds in units of the mean: times are balanced, not loads; empty = alike.
  std::span<const double> speed = {};
  /// Relative error that every expert's load has beside what the windows show.
  double doubt = 0;
  /// Costs count per unit of load (a replica costs price x its share) instead of per replica.
  bool cost_by_load = false;
  HolderRule holders;
  /// Asked before every step, and more often where steps are long, whether to end; may be null.
  const Progress* progress = nullptr;
};

/// One accepted exchange: a swap of two slots, or a replica of `expert` in the place of another.
struct SearchStep {
  std::size_t slot = 0;
  std::optional<std::size_t> other;  ///< swap partner
  std::uint32_t expert = 0;          ///< replacement
  double risk_after = 0;
  double cost_after = 0;
};

/// Searches from a start placement; remembers every step, so that any prefix can be had.
///
/// Descends on Phi = sum over windows of weight x sum over ranks of max(0, load - tau)^2, where tau
/// lies between the mean and the window's peak. Each step takes, for the rank with the largest part
/// of Phi, the swap or replacement with the best gain per cost. The gain of a removal is bounded by
/// its first-order value (Phi is convex), which prunes most candidates unseen.
///
/// With `doubt` c it descends on the expectation of Phi when every expert's load is off by an
/// independent relative error of deviation c: to Phi comes c^2 x the sum of squares of all replica
/// loads, so that hot experts are spread thinner than today's loads alone ask for.
///
/// `prices` [ranks, experts] is what a rank pays to hold an expert; a move's cost is the difference
/// it makes, so that undoing one earns its cost back. Deterministic. O(ranks k^2 windows) per step.
class WindowSearch {
 public:
  /// @param start the expert in every slot, distinct within a rank; `loads` and `prices` outlive
  ///        the search.
  WindowSearch(const WindowLoads& loads, std::size_t ranks, std::vector<std::uint32_t> start,
               std::span<const float> prices, const WindowSearchOptions& options);

  /// Runs to the target, the budget, until nothing helps or until told to end.
  void run();
  /// Goes on to another target with other cuts and no doubt: nearer to what these windows alone ask
  /// for.
  void go_on(double target, std::vector<double> cuts, std::size_t patience);

  [[nodiscard]] double risk() const { return risk_; }
  [[nodiscard]] double cost() const { return cost_; }
  [[nodiscard]] double start_risk() const { return start_risk_; }
  [[nodiscard]] double start_cost() const { return start_cost_; }
  [[nodiscard]] const std::vector<SearchStep>& steps() const { return steps_; }
  [[nodiscard]] std::uint64_t moves_tried() const { return moves_tried_; }

  /// The number of leading steps with the least risk + price of the cost; the fewest on ties.
  [[nodiscard]] std::size_t best_prefix() const;
  /// The placement after the first `count` steps.
  [[nodiscard]] std::vector<std::uint32_t> placement_after(std::size_t count) const;

 private:
  struct Candidate {
    float score = 0;
    float cost = 0;
    std::size_t slot = 0;
    std::uint32_t other = WindowState::kNoSlot;
    std::uint32_t expert = 0;
  };

  [[nodiscard]] bool stopped() const {
    return options_.progress != nullptr && options_.progress->interrupted();
  }
  void pass(double cut);
  void aim(double cut);
  bool step();
  void look_everywhere(std::size_t hot, Candidate& best);
  void measure_doubt();
  void prepare(std::size_t hot);
  void look_from(std::size_t hot, std::size_t rank);
  void try_swaps(std::size_t hot, std::size_t rank, Candidate& best);
  void try_partners(std::size_t hot, std::size_t other, float cost_here, Candidate& best);
  void try_swap(std::size_t slot, std::size_t other, float cost, Candidate& best);
  void try_spreading(std::size_t hot, std::size_t rank, Candidate& best);
  void try_cooling(std::size_t hot, Candidate& best);
  float prepare_cooling();
  void weigh_dropping(std::uint32_t expert, std::uint32_t count);
  /// What the expectation of Phi loses to one replica more than `count`.
  [[nodiscard]] float steadied(std::uint32_t expert, std::uint32_t count) const {
    return variance_[expert] / static_cast<float>(count * (count + 1));
  }
  [[nodiscard]] float value_of_dropping(std::size_t slot) const;
  void try_replacement(std::size_t slot, std::uint32_t expert, float ceiling, Candidate& best);
  [[nodiscard]] static bool worth(float ceiling, float cost, const Candidate& best);
  [[nodiscard]] bool on_same_node(std::size_t rank, std::size_t other) const {
    return !options_.node_of.empty() && options_.node_of[rank] == options_.node_of[other];
  }
  [[nodiscard]] bool affordable(float cost) const;
  static void consider(float gain, float cost, std::size_t slot, std::uint32_t other,
                       std::uint32_t expert, Candidate& best);
  void apply(const Candidate& candidate);
  /// Whether enough holders stay when a replica leaves its slot, for rank `to` if given.
  [[nodiscard]] bool may_leave(std::size_t slot, std::optional<std::size_t> to = {}) const;
  void measure_risk();
  void measure_cost();
  [[nodiscard]] float price_of(std::size_t rank, std::uint32_t expert) const;
  [[nodiscard]] float price_of(std::size_t rank, std::uint32_t expert, std::uint32_t count) const;

  WindowState state_;
  std::size_t k_;
  std::span<const float> prices_;
  WindowSearchOptions options_;
  bool single_;  ///< one window, no budget and no rule of nodes: gains are computed outright
  std::vector<std::uint32_t> start_;
  std::vector<double> mean_load_;  ///< [experts], for costs by load
  std::vector<double> peak_;       ///< [windows]
  std::vector<double> weights_;    ///< [windows]
  std::vector<float> pull_;        ///< [experts] first-order value of its load at the hot rank
  std::vector<float> relief_;      ///< [experts] most that one more replica takes off all holders
  std::vector<float> variance_;    ///< [experts] of its load, undivided, by the doubt
  std::vector<float> kept_pull_;   ///< [experts] see value_of_dropping(); of spare replicas only
  std::vector<float> shared_out_;  ///< [experts] likewise
  std::vector<float> cooling_;     ///< [experts] see prepare_cooling()
  std::vector<float> hot_share_;   ///< [k] loads of the hot rank's replicas, with one window
  std::vector<float> hot_pull_;    ///< [k] pulls of the hot rank's replicas
  std::vector<float> gain_;        ///< [k] scratch: gains, or bounds on them
  std::vector<float> at_rank_;     ///< [k] first-order burden of the hot rank's replicas elsewhere
  std::vector<float> cost_at_rank_;  ///< [k] price there less price at the hot rank
  std::vector<float> price_at_hot_;  ///< [k]
  float most_pull_ = 0;              ///< of the hot rank's replicas
  float most_spread_ = 0;            ///< most that one more replica of one of its experts is worth
  float least_cost_at_rank_ = 0;     ///< of cost_at_rank_
  std::vector<std::uint32_t> coldest_first_;  ///< [ranks]

  double risk_ = 0;
  double cost_ = 0;
  double start_risk_ = 0;
  double start_cost_ = 0;
  std::vector<SearchStep> steps_;
  std::uint64_t moves_tried_ = 0;
};

}  // namespace moeshift
