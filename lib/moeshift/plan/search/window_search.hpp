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
/// of Phi, the swap or replacement with the best gain per cost. What a swap with a rank gains is
/// bounded by evening both out in every window, which passes over most ranks; the gain of a removal
/// by its first-order value (Phi is convex), which prunes most other candidates unseen.
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

  /// A replica of an expert that has more; what dropping it is worth.
  struct Spare {
    std::uint32_t slot;
    float value;
  };

  /// A free move counts as half a unit, so that free moves come first without beating all others.
  static constexpr float kLeastCost = 0.5F;
  /// Room for rounding in a bound.
  static constexpr float kRounding = 1.0001F;
  [[nodiscard]] static float above_zero(float x) { return x > 0 ? x : 0.0F; }

  void pass(double cut);
  void aim(double cut);
  bool step();
  void look_everywhere(std::size_t hot, Candidate& best);
  void measure_doubt();
  void pay(std::size_t slot);
  void prepare(std::size_t hot);
  void prepare_partners(std::size_t hot);
  void try_rank(std::size_t hot, std::size_t rank, Candidate& best);
  void look_from(std::size_t hot, std::size_t rank);
  void price_at(std::size_t hot, std::size_t rank);
  [[nodiscard]] const float* prices_of(std::uint32_t expert);
  void prepare_prices(std::size_t hot);
  void screen(std::size_t hot, const Candidate& best);
  [[nodiscard]] bool swaps_may_pay(std::size_t hot, std::size_t rank, const Candidate& best);
  void try_swaps(std::size_t hot, std::size_t rank, Candidate& best);
  void try_partners(const WindowState::SingleRank& at_hot, const WindowState::SingleRank& at_rank,
                    std::size_t hot, std::size_t other, Candidate& best);
  void try_bounded(std::size_t hot, std::size_t other, float cost_here, Candidate& best);
  [[nodiscard]] bool bound_swaps(std::size_t hot, std::size_t rank, float in, float spared,
                                 float cost_here, const Candidate& best);
  void try_swap(std::size_t slot, std::size_t other, float cost, float most, Candidate& best);
  void try_spreading(std::size_t hot, std::size_t rank, Candidate& best);
  [[nodiscard]] float others_without(std::size_t slot, float first_order) const;
  [[nodiscard]] float most_met(std::size_t slot) const;
  void look_beyond(std::size_t hot, std::size_t slot, float first_order, float others);
  [[nodiscard]] bool bound_spreading(std::size_t slot, const Candidate& best);
  void try_cooling(std::size_t hot, Candidate& best);
  void prepare_cooling(std::size_t hot);
  [[nodiscard]] float loss_of_others(std::size_t slot) const;
  [[nodiscard]] bool bound_cooling(std::size_t hot, std::size_t slot, float value,
                                   const Candidate& best);
  [[nodiscard]] bool any_cools(std::size_t slot, float most, float first_order,
                               const Candidate& best) const;
  [[nodiscard]] bool any_pays(std::size_t first, std::size_t last, float paid,
                              const Candidate& best) const;
  void try_coolest(std::size_t hot, std::size_t slot, float value, std::size_t first,
                   std::size_t last, Candidate& best);
  void find_spares();
  void list_spares();
  void mark_spares(std::uint32_t expert);
  void forget_spares();
  [[nodiscard]] std::span<const Spare> spares_on(std::size_t rank) const {
    return std::span(spares_).subspan(spares_before_[rank],
                                      spares_before_[rank + 1] - spares_before_[rank]);
  }
  [[nodiscard]] float value_of_dropping(std::size_t slot) const;
  [[nodiscard]] float known_value_of_dropping(std::size_t slot);
  /// What the expectation of Phi loses to one replica more than `count`.
  [[nodiscard]] float steadied(std::uint32_t expert, std::uint32_t count) const {
    return variance_[expert] / static_cast<float>(count * (count + 1));
  }
  [[nodiscard]] float elsewhere_first_order(std::uint32_t expert) const {
    return state_.pull_of_all(expert) * thinner_[expert] + variance_[expert] * steadier_[expert];
  }
  void try_replacement(std::size_t slot, std::uint32_t expert, float ceiling, Candidate& best);
  [[nodiscard]] static bool worth(float ceiling, float cost, const Candidate& best) {
    return ceiling > best.score * (cost > kLeastCost ? cost : kLeastCost);
  }
  [[nodiscard]] bool on_same_node(std::size_t rank, std::size_t other) const {
    return !options_.node_of.empty() && options_.node_of[rank] == options_.node_of[other];
  }
  [[nodiscard]] bool affordable(float cost) const {
    return cost_ + static_cast<double>(cost) <= options_.budget + 1e-9;
  }
  static void consider(float gain, float cost, std::size_t slot, std::uint32_t other,
                       std::uint32_t expert, Candidate& best);
  void apply(const Candidate& candidate);
  /// Whether enough holders stay when a replica leaves its slot, for rank `to` if given.
  [[nodiscard]] bool may_leave(std::size_t slot, std::optional<std::size_t> to = {}) const;
  void measure_risk();
  void measure_cost();
  void count_replicas(std::uint32_t expert);
  /// [experts] what a rank pays per unit.
  [[nodiscard]] const float* prices_at(std::size_t rank) const {
    return prices_.data() + rank * prices_per_rank_;
  }
  [[nodiscard]] float price_of(std::size_t rank, std::uint32_t expert) const {
    return prices_at(rank)[expert] * units_[expert];
  }
  /// With one replica more of the expert.
  [[nodiscard]] float price_of_more(std::size_t rank, std::uint32_t expert) const {
    return prices_at(rank)[expert] * units_of_more_[expert];
  }

  WindowState state_;
  std::size_t k_;
  std::vector<float> free_;  ///< [experts] where nothing has a price
  std::span<const float> prices_;
  std::size_t prices_per_rank_;   ///< 0: all ranks see the same
  std::vector<float> by_expert_;  ///< [experts, ranks] prices, one expert's side by side
  std::vector<std::uint8_t> known_by_expert_;  ///< [experts] whether they are there yet
  WindowSearchOptions options_;
  bool single_;  ///< one window, no budget and no rule of nodes: gains are computed outright
  std::vector<std::uint32_t> start_;
  std::vector<double> mean_load_;     ///< [experts], for costs by load
  std::vector<float> thinner_;        ///< [experts] 1 / (replicas + 1)
  std::vector<float> steadier_;       ///< [experts] 1 / (replicas (replicas + 1))
  std::vector<float> units_;          ///< [experts] that a replica counts in costs
  std::vector<float> units_of_more_;  ///< [experts] likewise, with one replica more
  std::vector<float> paid_;           ///< [slots] price of what they hold
  std::vector<float> most_paid_;      ///< [ranks] of their slots
  std::vector<double> peak_;          ///< [windows]
  std::vector<double> weights_;       ///< [windows]
  std::vector<float> variance_;       ///< [experts] of its load, undivided, by the doubt
  /// What it was measured with: the windows' weights, and [experts] replicas.
  struct {
    std::vector<double> weights;
    std::vector<std::uint32_t> count;
  } measured_;
  /// The hot rank's replicas, [k] padded.
  struct {
    std::vector<float> share;  ///< mean over windows
    std::vector<float> pull;
    std::vector<float> kept;    ///< share of it that stays with one replica more
    std::vector<float> spread;  ///< what one replica more is worth, without its rank's burden
    std::vector<float> spread_first_order;  ///< the same, each rank to first order: a bound
    std::vector<float> met;  ///< [ranks] most of spread_first_order of those that it holds, too
    std::vector<const float*> price;  ///< [k][ranks] of each everywhere
    std::vector<float> least_there;   ///< [ranks] of their prices, less what they cost here
    std::vector<float> least_price;   ///< [ranks] of their prices with one replica more
    std::vector<float> beyond;  ///< most that this and a slot's replica less are, but for its rank
  } hot_;
  /// The same replicas on another rank, [k] padded.
  struct {
    std::vector<float> pull;   ///< first-order burden
    std::vector<float> cost;   ///< price there less price at the hot rank
    std::vector<float> price;  ///< of one more
  } at_rank_;
  /// A replica more of each expert on the hot rank, [experts].
  struct {
    std::vector<float> elsewhere;  ///< what it is worth on other ranks
    std::vector<float> kept;       ///< what it carries, mean over windows
    std::vector<float> price;
    std::vector<float> gain;  ///< bound with a slot's replica dropped
  } cooling_;
  std::size_t padded_;            ///< k, up to a whole number of vectors
  std::vector<float> gain_;       ///< [k] padded; scratch: gains, or bounds on them
  std::vector<float> at_hot_;     ///< [k] padded; likewise, of the hot rank alone
  std::vector<float> cost_here_;  ///< [k] price of the other rank's at the hot one less there
  std::vector<Spare> spares_;
  std::vector<std::uint32_t> spares_before_;  ///< [ranks + 1] of a rank's first, in spares_
  float most_spread_ = 0;  ///< most that one more replica of an expert of the hot rank is worth
  float most_spread_first_order_ = 0;  ///< likewise, to first order
  /// Which slots are spare, a bit each.
  std::vector<std::uint64_t> spare_bits_;
  bool spares_moved_ = true;  ///< since they were listed
  /// [slots] what dropping it was worth when its pulls were these.
  struct KnownValue {
    float pull;
    float pull_of_all;
    float value;
  };
  std::vector<KnownValue> known_;
  bool looked_from_rank_ = false;             ///< whether at_rank_ is of the rank looked at
  bool priced_at_rank_ = false;               ///< likewise, its prices
  float most_by_swap_ = 0;                    ///< what a swap with the rank looked at gains at most
  std::vector<std::uint32_t> may_pay_;        ///< [ranks] whether anything there could be the best
  std::vector<float> most_value_;             ///< [ranks] of its spare replicas
  std::vector<std::uint32_t> coldest_first_;  ///< [ranks]

  double risk_ = 0;
  double cost_ = 0;
  double start_risk_ = 0;
  double start_cost_ = 0;
  std::vector<SearchStep> steps_;
  std::uint64_t moves_tried_ = 0;
};

}  // namespace moeshift
