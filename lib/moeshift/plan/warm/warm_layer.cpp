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

}  // namespace

WarmLayer::WarmLayer(const LayerProblem& problem, const IncrementalOptions& options)
    : problem_(problem),
      options_(options),
      loads_(windows_of(problem, options.use_samples)),
      mean_(loads_.mean()),
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
  const bool by_counts = may_rebuild && problem.survive.losses == 0 && problem.speed.empty();
  if (by_counts && problem.slots_per_rank == 1) rebuild_singles();
  if (by_counts && problem.slots_per_rank == 2 && !options.use_samples) rebuild_pairs();
  if (!rebuilt_beats(0)) search_.run();
  if (may_rebuild) catch_up();
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
  search.doubt = options_.doubt;
  if (options_.budget_transfers) {
    // What counts is what the budget buys now, and few transfers buy most near the peaks.
    search.doubt = 0;
    search.cuts = {0.2, 0.6};
  }
  if (!options_.use_samples) search.target = bound_ * (1 + options_.target_gap);
  return search;
}

/// Of the mean load, in units of the mean rank load.
double WarmLayer::bound() const {
  const double total = std::accumulate(mean_.begin(), mean_.end(), 0.0);
  const double mean = total / static_cast<double>(problem_.ranks());
  return bound_on_times(problem_.speed, mean,
                        lower_bound(mean_, problem_.ranks(), problem_.slots())) /
         mean;
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
  const double target = bound_ * (1 + options_.target_gap);
  if (!problem_.speed.empty()) return target;
  const auto ranks = static_cast<double>(problem_.ranks());
  const double mean = std::accumulate(mean_.begin(), mean_.end(), 0.0) / ranks;
  const double eplb =
      plan_by_eplb_steps(mean_, problem_.ranks(), problem_.slots()).peak / mean * (1 + kAsGood);
  return std::max(std::min(eplb, target), bound_ * (1 + options_.effort.tolerance));
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
  FreshPlan fresh = plan_fresh(mean_, problem_.ranks(), problem_.slots_per_rank, options_.effort,
                               problem_.seed ^ problem_.layer.value());
  cover(problem_, mean_, fresh.experts);
  (void)balance_times(problem_, mean_, options_.effort.tolerance, fresh.experts);
  std::vector<ExpertId> slots;
  for (const std::uint32_t e : fresh.experts) slots.emplace_back(e);
  relabel(problem_, options_.links, exchangeable_ranks(problem_), slots);
  std::vector<std::uint32_t> placed = experts_of(slots);
  const double mean =
      std::accumulate(mean_.begin(), mean_.end(), 0.0) / static_cast<double>(problem_.ranks());
  const bool pairs = problem_.slots_per_rank == 2 && problem_.survive.losses == 0;
  if (pairs && problem_.speed.empty() && enough * mean > fresh.peak) {
    placed = settle_pairs(mean_, search_.placement_after(0), std::move(placed), enough * mean);
  }
  offer(std::move(placed));
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
  if (prefix == 0 && problem_.can_keep() && plan.slots == problem_.kept_slots()) {
    plan.keep = true;
    return plan;
  }
  plan.reasons = rebuilt ? reasons_of_rebuilding() : reasons(prefix, plan.slots);
  keep_slots_in_place(problem_, plan.slots);
  return plan;
}

double WarmLayer::arrives(std::size_t slot, std::uint32_t expert) const {
  const std::size_t rank = slot / problem_.slots_per_rank;
  return prices_[rank * problem_.experts() + expert] > 0 ? 1 : 0;
}

MoveReason WarmLayer::reason(std::size_t slot, std::uint32_t expert, std::uint32_t replaced,
                             double before, double after) const {
  const std::size_t rank = slot / problem_.slots_per_rank;
  const bool on_node = on_node_of(rank, ExpertId(expert));
  return {.layer = problem_.layer,
          .expert = ExpertId(expert),
          .rank = RankId(rank),
          .replaced = ExpertId(replaced),
          .link = on_node ? LinkClass::kIntraNode : LinkClass::kInterNode,
          .imbalance_before = before,
          .imbalance_after = after};
}

bool WarmLayer::on_node_of(std::size_t rank, ExpertId expert) const {
  for (std::size_t g = 0; g < problem_.held.size(); ++g) {
    const auto& held = problem_.held[g];
    if (problem_.node_of[g] != problem_.node_of[rank]) continue;
    if (std::find(held.begin(), held.end(), expert) != held.end()) return true;
  }
  return false;
}

/// Why every replica that arrives did so: the last step that put it on its rank.
std::vector<MoveReason> WarmLayer::reasons(std::size_t prefix,
                                           std::span<const ExpertId> final_slots) const {
  std::vector<MoveReason> all;
  std::vector<std::uint32_t> experts = search_.placement_after(0);
  double before = search_.start_risk();
  for (std::size_t slot = 0; slot < experts.size(); ++slot) {
    if (arrives(slot, experts[slot]) > 0) {
      all.push_back(reason(slot, experts[slot], ExpertId::none().value(), before, before));
    }
  }
  for (std::size_t i = 0; i < prefix; ++i) {
    const SearchStep& step = search_.steps()[i];
    const std::uint32_t replaced = experts[step.slot];
    if (step.other) {
      std::swap(experts[step.slot], experts[*step.other]);
      all.push_back(reason(*step.other, replaced, experts[step.slot], before, step.risk_after));
    } else {
      experts[step.slot] = step.expert;
    }
    all.push_back(reason(step.slot, experts[step.slot], replaced, before, step.risk_after));
    before = step.risk_after;
  }
  return last_of_each(all, final_slots);
}

std::vector<MoveReason> WarmLayer::reasons_of_rebuilding() const {
  const std::vector<std::uint32_t> start = search_.placement_after(0);
  std::vector<MoveReason> all;
  for (std::size_t slot = 0; slot < rebuilt_.size(); ++slot) {
    if (arrives(slot, rebuilt_[slot]) <= 0) continue;
    all.push_back(reason(slot, rebuilt_[slot], start[slot], search_.start_risk(), rebuilt_risk_));
  }
  return all;
}

std::vector<MoveReason> WarmLayer::last_of_each(std::span<const MoveReason> all,
                                                std::span<const ExpertId> final_slots) const {
  std::vector<MoveReason> kept;
  const std::size_t k = problem_.slots_per_rank;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const MoveReason& move = all[i];
    const std::size_t rank = move.rank.index();
    if (prices_[rank * problem_.experts() + move.expert.index()] <= 0) continue;
    const auto now = final_slots.subspan(rank * k, k);
    if (std::find(now.begin(), now.end(), move.expert) == now.end()) continue;
    const bool again = std::any_of(all.begin() + static_cast<std::ptrdiff_t>(i) + 1, all.end(),
                                   [&](const MoveReason& later) {
                                     return later.rank == move.rank && later.expert == move.expert;
                                   });
    if (!again) kept.push_back(move);
  }
  return kept;
}

}  // namespace moeshift
