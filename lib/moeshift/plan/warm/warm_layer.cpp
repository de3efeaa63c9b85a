// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/warm/warm_layer.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "moeshift/plan/fresh/eplb_steps.hpp"
#include "moeshift/plan/lower_bound.hpp"
#include "moeshift/plan/relabel.hpp"
#include "moeshift/plan/search/coverage.hpp"
#include "moeshift/plan/search/rank_speed.hpp"
#include "moeshift/plan/warm/adapt.hpp"
#include "moeshift/plan/warm/believed_load.hpp"
#include "moeshift/plan/warm/pair_chains.hpp"
#include "moeshift/plan/warm/scratch_plan.hpp"
#include "moeshift/plan/warm/single_slots.hpp"

namespace moeshift {
namespace {

/// Of what planning gains over an initial map, the share that an old placement worth starting from
/// still has. On recordings and drifting load it has 0.5 and more after every re-plan.
constexpr double kLeastKnowledge = 0.25;

/// Within this share of EPLB's balance a layer is as good.
constexpr double kAsGood = 5e-4;

/// A plan on several windows is let be this much above EPLB's risk on them.
constexpr double kFloorSlack = 1.0008;

std::vector<std::uint32_t> start_of(const LayerProblem& problem, std::span<const double> load) {
  std::vector<std::uint32_t> experts = adapt_old(problem, load);
  cover(problem, load, experts);
  return experts;
}

std::vector<std::uint32_t> experts_of(std::span<const ExpertId> slots) {
  std::vector<std::uint32_t> experts;
  for (const ExpertId e : slots) experts.push_back(e.value());
  return experts;
}

std::vector<ExpertId> ids_of(const std::vector<std::uint32_t>& experts) {
  return {experts.begin(), experts.end()};
}

/// What is planned on: windows, or of one window what is more than chance.
/// @param worth_moving is set to what the peak must be above its aim.
WindowLoads planned_loads(const LayerProblem& problem, bool use_samples, double& worth_moving) {
  const bool one_window = !use_samples || problem.samples.size() < 2;
  if (!one_window || !problem.can_keep()) return windows_of(problem, use_samples);
  const BelievedLoad believed = believed_load(problem, experts_of(problem.kept_slots()));
  worth_moving = believed.worth_moving;
  LayerProblem seen = problem;
  seen.load = believed.load;
  return windows_of(seen, false);
}

}  // namespace

WarmLayer::WarmLayer(const LayerProblem& problem, const IncrementalOptions& options)
    : problem_(problem),
      options_(options),
      loads_(planned_loads(problem, options.use_samples, worth_moving_)),
      mean_(loads_.mean()),
      of_load_(bound_of_load()),
      bound_(bound()),
      prices_(holding_prices(problem, options.links)),
      search_(loads_, problem.ranks(), start_of(problem, mean_), prices_, search_options()) {
  const bool may_rebuild = !options.budget_transfers && options.max_steps > 0;
  if (may_rebuild && !knows_the_load()) {
    rebuild(experts_of(plan_from_scratch(problem, options).slots),
            {options.price * options.rebuild_share, 0});
    if (rebuilt_beats(0)) return;
    rebuilt_.clear();
  }
  const bool good_already = worth_moving_ > 0 && search_.start_risk() <= target();
  const bool by_counts =
      may_rebuild && !good_already && problem.survive.losses == 0 && problem.speed.empty();
  if (by_counts && problem.slots_per_rank == 1) rebuild_singles();
  if (by_counts && problem.slots_per_rank == 2 && !options.use_samples) rebuild_pairs();
  if (!rebuilt_beats(0)) search_.run();
  if (may_rebuild && !problem.stopped()) catch_up();
  if (may_rebuild && options.floor && options.use_samples && !problem.stopped()) hold_floor();
}

MovePrice WarmLayer::move_price() const {
  return {.per_unit = options_.price,
          .full_from = options_.settled * static_cast<double>(problem_.slots())};
}

WindowSearchOptions WarmLayer::search_options() const {
  WindowSearchOptions search;
  search.risk = options_.risk;
  search.price = move_price();
  search.max_steps = options_.max_steps;
  search.holders = holder_rule(problem_);
  search.node_of = problem_.node_of;
  search.speed = problem_.speed;
  search.progress = problem_.progress;
  // What one expert did in some windows any may do in the next.
  search.doubt = std::max(options_.doubt, std::min(spread_of(loads_), 1.0));
  if (options_.budget_transfers) {
    // What counts is what the budget buys now, and few transfers buy most near the peaks.
    search.doubt = 0;
    search.cuts = {0.2, 0.6};
  }
  if (!options_.use_samples) search.target = target();
  return search;
}

/// The risk on one window from which on nothing more is worth a move.
double WarmLayer::target() const {
  return bound_ + std::max(bound_ * options_.target_gap, worth_moving_);
}

/// Of the mean load, in units of the mean rank load.
double WarmLayer::bound() const {
  if (of_load_ > 0) return of_load_ / mean_of_load();
  const double total = std::accumulate(mean_.begin(), mean_.end(), 0.0);
  const double mean = total / static_cast<double>(problem_.ranks());
  return bound_on_times(problem_.speed, mean,
                        lower_bound(mean_, problem_.ranks(), problem_.slots())) /
         mean;
}

/// The quick bound on the load itself, for the verdict too; 0 where several windows are planned on
/// or there is no load.
double WarmLayer::bound_of_load() const {
  const bool several = options_.use_samples && !problem_.samples.empty();
  if (several || mean_of_load() <= 0) return 0;
  return bound_on_times(problem_.speed, mean_of_load(),
                        lower_bound(problem_.load, problem_.ranks(), problem_.slots()));
}

double WarmLayer::mean_of_load() const {
  return std::accumulate(problem_.load.begin(), problem_.load.end(), 0.0) /
         static_cast<double>(problem_.ranks());
}

bool WarmLayer::knows_the_load() const {
  std::vector<std::uint32_t> initial(problem_.slots());
  for (std::size_t slot = 0; slot < initial.size(); ++slot) {
    initial[slot] = static_cast<std::uint32_t>(slot % problem_.experts());
  }
  const double blind = risk_of(loads_, problem_.ranks(), initial, options_.risk, problem_.speed);
  return blind - search_.start_risk() >= kLeastKnowledge * (blind - bound_);
}

void WarmLayer::rebuild(std::vector<std::uint32_t> placed, const MovePrice& price) {
  const std::vector<ExpertId> slots = ids_of(placed);
  rebuilt_risk_ = risk_of(loads_, problem_.ranks(), placed, options_.risk, problem_.speed);
  rebuilt_price_ = price.of(priced_cost(problem_, prices_, slots));
  rebuilt_ = std::move(placed);
}

/// Other replica counts at once: with two slots per rank single exchanges get stuck.
void WarmLayer::rebuild_pairs() {
  PairChainOptions chains;
  chains.bound = lower_bound(mean_, problem_.ranks(), problem_.slots());
  chains.iterations = options_.effort.pair_iterations;
  chains.seed = problem_.seed ^ problem_.layer.value();
  // Who asks more of a transfer gets fewer.
  chains.price = std::max(chains.price, options_.price);
  rebuild(rearrange_pairs(mean_, search_.placement_after(0), chains), move_price());
}

/// The number of transfers that pays best: with one slot per rank the rest follows.
void WarmLayer::rebuild_singles() {
  std::vector<std::uint32_t> placed = search_.placement_after(0);
  const std::size_t experts = problem_.experts();
  const auto price = [&](std::size_t rank, std::uint32_t e) {
    return static_cast<double>(prices_[rank * experts + e]);
  };
  const MovePrice transfers = move_price();
  double cost = search_.start_cost();
  double least = search_.start_risk() + transfers.of(cost);
  std::vector<std::uint32_t> best;
  for (const SingleStep& step : rearrange_singles(mean_, placed, price)) {
    cost += price(step.rank, step.expert) - price(step.rank, placed[step.rank]);
    placed[step.rank] = step.expert;
    const double value = risk_of(loads_, problem_.ranks(), placed, options_.risk, problem_.speed) +
                         transfers.of(cost);
    if (value >= least) continue;
    least = value;
    best = placed;
  }
  if (!best.empty()) rebuild(std::move(best), transfers);
}

/// The risk on one window below which there is nothing to catch up with: EPLB's, or the target
/// where that is better.
double WarmLayer::wanted() const {
  if (!problem_.speed.empty()) return target();
  const auto ranks = static_cast<double>(problem_.ranks());
  const double mean = std::accumulate(mean_.begin(), mean_.end(), 0.0) / ranks;
  const double eplb =
      plan_by_eplb_steps(mean_, problem_.ranks(), problem_.slots()).peak / mean * (1 + kAsGood);
  return std::max(
      {std::min(eplb, target()), bound_ * (1 + options_.effort.tolerance), bound_ + worth_moving_});
}

double WarmLayer::risk_of_best() const {
  const std::size_t prefix = search_.best_prefix();
  if (rebuilt_beats(prefix)) return rebuilt_risk_;
  return prefix > 0 ? search_.steps()[prefix - 1].risk_after : search_.start_risk();
}

void WarmLayer::catch_up() {
  const bool one_window = !options_.use_samples;
  const double enough = one_window ? wanted() : bound_ * 1.1;
  if (risk_of_best() <= enough) return;
  // A fresh plan moves half of all replicas and more.
  const double least_price = options_.price * static_cast<double>(problem_.slots()) / 2;
  if (!one_window && risk_of_best() - bound_ < least_price) return;
  if (one_window) {
    go_on(enough);
    if (risk_of_best() <= enough) return;
  }
  std::vector<std::uint32_t> placed = relabelled_fresh_plan();
  const double mean =
      std::accumulate(mean_.begin(), mean_.end(), 0.0) / static_cast<double>(problem_.ranks());
  const bool pairs = problem_.slots_per_rank == 2 && problem_.survive.losses == 0;
  if (pairs && problem_.speed.empty() &&
      enough > risk_of(loads_, problem_.ranks(), placed, options_.risk)) {
    placed = settle_pairs(mean_, search_.placement_after(0), std::move(placed), enough * mean);
  }
  offer(std::move(placed));
}

/// What EPLB would do with the same forecast is the least to be had: where the price stops short of
/// that, transfers are free until it is reached, and where that does not help all are.
void WarmLayer::hold_floor() {
  const EplbPlan eplb = plan_by_eplb_steps(mean_, problem_.ranks(), problem_.slots());
  const double enough =
      kFloorSlack * risk_of(loads_, problem_.ranks(), eplb.experts, options_.risk, problem_.speed);
  if (risk_of_best() <= enough) return;
  WindowSearchOptions options = search_options();
  options.price = {};
  options.target = enough;
  options.patience = 12;
  const std::size_t prefix = search_.best_prefix();
  WindowSearch search(loads_, problem_.ranks(),
                      rebuilt_beats(prefix) ? rebuilt_ : search_.placement_after(prefix), prices_,
                      options);
  search.run();
  rebuild(search.placement_after(search.best_prefix()), {});
  if (rebuilt_risk_ <= enough) return;
  std::vector<std::uint32_t> placed = relabelled_fresh_plan();
  if (risk_of(loads_, problem_.ranks(), placed, options_.risk, problem_.speed) < rebuilt_risk_) {
    rebuild(std::move(placed), {});
  }
}

/// The mean planned afresh, with the names of ranks that keep most.
std::vector<std::uint32_t> WarmLayer::relabelled_fresh_plan() const {
  FreshPlan fresh = plan_fresh(mean_, problem_.ranks(), problem_.slots_per_rank, options_.effort,
                               problem_.seed ^ problem_.layer.value());
  cover(problem_, mean_, fresh.experts);
  (void)balance_times(problem_, mean_, options_.effort.tolerance, fresh.experts);
  std::vector<ExpertId> slots = ids_of(fresh.experts);
  relabel(problem_, options_.links, exchangeable_ranks(problem_), slots);
  return experts_of(slots);
}

/// Searches on, without doubt, from the best so far.
void WarmLayer::go_on(double enough) {
  constexpr std::size_t kPatience = 25;
  const std::vector<double> cuts = {0.0, 0.6, 0.9};
  if (!rebuilt_beats(search_.best_prefix())) {
    search_.go_on(enough, cuts, kPatience);
    return;
  }
  WindowSearchOptions options = search_options();
  options.target = enough;
  options.cuts = cuts;
  options.patience = kPatience;
  options.doubt = 0;
  WindowSearch search(loads_, problem_.ranks(), rebuilt_, prices_, options);
  search.run();
  offer(search.placement_after(search.best_prefix()));
}

/// Takes the place of the rebuilt placement where it is worth more.
void WarmLayer::offer(std::vector<std::uint32_t> placed) {
  const std::vector<std::uint32_t> before = std::move(rebuilt_);
  const double value =
      before.empty() ? std::numeric_limits<double>::infinity() : rebuilt_risk_ + rebuilt_price_;
  const double risk = rebuilt_risk_;
  const double price = rebuilt_price_;
  rebuild(std::move(placed), move_price());
  if (rebuilt_risk_ + rebuilt_price_ < value) return;
  rebuilt_ = before;
  rebuilt_risk_ = risk;
  rebuilt_price_ = price;
}

std::size_t WarmLayer::best_prefix() const {
  const std::size_t best = search_.best_prefix();
  if (rebuilt_beats(best)) return kRebuilt;
  if (best == 0 || !problem_.can_keep()) return best;
  const double after = search_.steps()[best - 1].risk_after;
  return search_.start_risk() - after > options_.min_gain * search_.start_risk() ? best : 0;
}

bool WarmLayer::rebuilt_beats(std::size_t prefix) const {
  if (rebuilt_.empty()) return false;
  const bool moves = prefix > 0;
  const double risk = moves ? search_.steps()[prefix - 1].risk_after : search_.start_risk();
  const double cost = moves ? search_.steps()[prefix - 1].cost_after : search_.start_cost();
  return rebuilt_risk_ + rebuilt_price_ <
         risk + move_price().of(cost) - options_.min_gain * search_.start_risk();
}

std::vector<TrajectoryPoint> WarmLayer::trajectory() const {
  const double total = std::accumulate(problem_.load.begin(), problem_.load.end(), 0.0);
  const double mean_rank_load = total / static_cast<double>(problem_.ranks());
  std::vector<std::uint32_t> experts = search_.placement_after(0);
  double cost = 0;
  for (std::size_t slot = 0; slot < experts.size(); ++slot) cost += arrives(slot, experts[slot]);
  std::vector<TrajectoryPoint> points{{cost, search_.start_risk() * mean_rank_load}};
  for (const SearchStep& step : search_.steps()) {
    cost -= arrives(step.slot, experts[step.slot]);
    if (step.other) {
      cost -= arrives(*step.other, experts[*step.other]);
      std::swap(experts[step.slot], experts[*step.other]);
      cost += arrives(*step.other, experts[*step.other]);
    } else {
      experts[step.slot] = step.expert;
    }
    cost += arrives(step.slot, experts[step.slot]);
    points.push_back({cost, step.risk_after * mean_rank_load});
  }
  return points;
}

LayerPlan WarmLayer::take(std::size_t prefix) const {
  LayerPlan plan;
  const bool rebuilt = prefix == kRebuilt;
  plan.slots = rebuilt ? ids_of(rebuilt_) : ids_of(search_.placement_after(prefix));
  plan.moves_tried = search_.moves_tried();
  plan.lower_bound = of_load_;
  plan.bounded = of_load_ > 0;
  if (prefix == 0 && problem_.can_keep() && plan.slots == problem_.kept_slots()) {
    plan.keep = true;
    return plan;
  }
  plan.reasons = rebuilt ? reasons_of_rebuilding() : reasons(prefix, plan.slots);
  keep_slots_in_place(problem_, plan.slots);
  return plan;
}

}  // namespace moeshift
