// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/incremental.hpp"

#include <algorithm>
#include <atomic>
#include <memory>
#include <numeric>
#include <utility>

#include "moeshift/core/error.hpp"
#include "moeshift/plan/adapt.hpp"
#include "moeshift/plan/balanced.hpp"
#include "moeshift/plan/lower_bound.hpp"
#include "moeshift/plan/pair_chains.hpp"
#include "moeshift/plan/spread_budget.hpp"
#include "moeshift/plan/survive.hpp"

namespace moeshift {
namespace {

std::vector<std::uint32_t> start_of(const LayerProblem& problem, std::span<const double> load) {
  std::vector<std::uint32_t> experts = adapt_old(problem, load);
  cover(problem, load, experts);
  return experts;
}

/// What is left of a search when time has run out.
IncrementalOptions hasty(IncrementalOptions options) {
  options.effort = least_effort();
  options.max_steps = 0;
  return options;
}

/// One layer's search from its old placement, kept so that any prefix of it can be taken.
class WarmLayer {
 public:
  WarmLayer(const LayerProblem& problem, const IncrementalOptions& options)
      : problem_(problem),
        loads_(windows_of(problem, options.use_samples)),
        mean_(loads_.mean()),
        prices_(holding_prices(problem, options.links)),
        search_(loads_, problem.ranks(), start_of(problem, mean_), prices_,
                search_options(options)) {
    search_.run();
    if (problem.slots_per_rank == 2 && problem.survive.losses == 0 && options.max_steps > 0 &&
        !options.use_samples && !options.budget_transfers) {
      jump(options);
    }
  }

  /// What best_prefix() says when the pairs re-made at once are better than any prefix.
  static constexpr std::size_t kJump = std::numeric_limits<std::size_t>::max();

  /// The best prefix by risk + price x cost; none of it when the gain is not worth a move.
  [[nodiscard]] std::size_t best_prefix(const IncrementalOptions& options) const {
    const std::size_t best = search_.best_prefix();
    if (jumps_further(best, options)) return kJump;
    if (best == 0 || !problem_.can_keep()) return best;
    const double after = search_.steps()[best - 1].risk_after;
    return search_.start_risk() - after > options.min_gain * search_.start_risk() ? best : 0;
  }

  /// Transfers and tokens on the busiest rank after every prefix.
  [[nodiscard]] std::vector<TrajectoryPoint> trajectory() const {
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

  [[nodiscard]] LayerPlan take(std::size_t prefix) const {
    LayerPlan plan;
    const bool jumps = prefix == kJump;
    const std::vector<std::uint32_t> placed = jumps ? jumped_ : search_.placement_after(prefix);
    for (const std::uint32_t e : placed) plan.slots.emplace_back(e);
    plan.moves_tried = search_.moves_tried();
    if (jumps) {
      plan.reasons = reasons_of_jump();
      keep_slots_in_place(problem_, plan.slots);
      return plan;
    }
    if (prefix == 0 && problem_.can_keep() && plan.slots == problem_.kept_slots()) {
      plan.keep = true;
      return plan;
    }
    plan.reasons = reasons(prefix, plan.slots);
    keep_slots_in_place(problem_, plan.slots);
    return plan;
  }

 private:
  [[nodiscard]] WindowSearchOptions search_options(const IncrementalOptions& options) const {
    WindowSearchOptions search;
    search.risk = options.risk;
    search.price = options.price;
    search.max_steps = options.max_steps;
    search.holders = holder_rule(problem_);
    search.node_of = problem_.node_of;
    if (!options.use_samples) {
      const double mean =
          std::accumulate(mean_.begin(), mean_.end(), 0.0) / static_cast<double>(problem_.ranks());
      const double bound = lower_bound(mean_, problem_.ranks(), problem_.slots());
      search.target = bound / mean * (1 + options.target_gap);
    }
    return search;
  }

  /// Other replica counts at once: with two slots per rank single exchanges get stuck.
  void jump(const IncrementalOptions& options) {
    const std::vector<std::uint32_t> start = search_.placement_after(0);
    PairChainOptions chains;
    chains.bound = lower_bound(mean_, problem_.ranks(), problem_.slots());
    chains.iterations = options.effort.pair_iterations;
    chains.seed = problem_.seed ^ problem_.layer.value();
    jumped_ = rearrange_pairs(mean_, start, chains);
    const WindowSearch there(loads_, problem_.ranks(), jumped_, prices_, search_options(options));
    jump_risk_ = there.start_risk();
    jump_cost_ = there.start_cost();
  }

  [[nodiscard]] bool jumps_further(std::size_t prefix, const IncrementalOptions& options) const {
    if (jumped_.empty()) return false;
    const bool moves = prefix > 0;
    const double risk = moves ? search_.steps()[prefix - 1].risk_after : search_.start_risk();
    const double cost = moves ? search_.steps()[prefix - 1].cost_after : search_.start_cost();
    return jump_risk_ + options.price * jump_cost_ <
           risk + options.price * cost - options.min_gain * search_.start_risk();
  }

  [[nodiscard]] std::vector<MoveReason> reasons_of_jump() const {
    const std::vector<std::uint32_t> start = search_.placement_after(0);
    std::vector<MoveReason> all;
    for (std::size_t slot = 0; slot < jumped_.size(); ++slot) {
      if (arrives(slot, jumped_[slot]) <= 0) continue;
      all.push_back(reason(slot, jumped_[slot], start[slot], search_.start_risk(), jump_risk_));
    }
    return all;
  }

  [[nodiscard]] double arrives(std::size_t slot, std::uint32_t expert) const {
    const std::size_t rank = slot / problem_.slots_per_rank;
    return prices_[rank * problem_.experts() + expert] > 0 ? 1 : 0;
  }

  [[nodiscard]] MoveReason reason(std::size_t slot, std::uint32_t expert, std::uint32_t replaced,
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

  [[nodiscard]] bool on_node_of(std::size_t rank, ExpertId expert) const {
    for (std::size_t g = 0; g < problem_.held.size(); ++g) {
      const auto& held = problem_.held[g];
      if (problem_.node_of[g] != problem_.node_of[rank]) continue;
      if (std::find(held.begin(), held.end(), expert) != held.end()) return true;
    }
    return false;
  }

  /// Why every replica that arrives did so: the last step that put it on its rank.
  [[nodiscard]] std::vector<MoveReason> reasons(std::size_t prefix,
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

  [[nodiscard]] std::vector<MoveReason> last_of_each(std::span<const MoveReason> all,
                                                     std::span<const ExpertId> final_slots) const {
    std::vector<MoveReason> kept;
    const std::size_t k = problem_.slots_per_rank;
    for (std::size_t i = 0; i < all.size(); ++i) {
      const MoveReason& move = all[i];
      const std::size_t rank = move.rank.index();
      if (prices_[rank * problem_.experts() + move.expert.index()] <= 0) continue;
      const auto now = final_slots.subspan(rank * k, k);
      if (std::find(now.begin(), now.end(), move.expert) == now.end()) continue;
      const bool again =
          std::any_of(all.begin() + static_cast<std::ptrdiff_t>(i) + 1, all.end(),
                      [&](const MoveReason& later) {
                        return later.rank == move.rank && later.expert == move.expert;
                      });
      if (!again) kept.push_back(move);
    }
    return kept;
  }

  const LayerProblem& problem_;
  WindowLoads loads_;
  std::vector<double> mean_;
  std::vector<float> prices_;
  WindowSearch search_;
  std::vector<std::uint32_t> jumped_;  ///< [slots] two slots per rank: all pairs re-made at once
  double jump_risk_ = 0;
  double jump_cost_ = 0;
};

/// The better of two fresh starts, improved over all windows.
LayerPlan plan_from_scratch(const LayerProblem& problem, const IncrementalOptions& options) {
  const WindowLoads loads = windows_of(problem, options.use_samples);
  LayerPlan plan;
  double least = std::numeric_limits<double>::infinity();
  std::vector<std::uint32_t> best;
  for (const double deviations : {0.0, 0.7}) {
    const std::vector<double> load = loads.mean_plus_deviation(deviations);
    FreshPlan start = plan_fresh(load, problem.ranks(), problem.slots_per_rank, options.effort,
                                 problem.seed ^ problem.layer.value());
    cover(problem, load, start.experts);
    WindowSearchOptions search_options;
    search_options.holders = holder_rule(problem);
    search_options.risk = options.risk;
    search_options.max_steps = options.max_steps;
    search_options.patience = 25;
    search_options.cuts = {0.0, 0.3, 0.6, 0.8};
    WindowSearch search(loads, problem.ranks(), std::move(start.experts), {}, search_options);
    search.run();
    plan.moves_tried += start.moves_tried + search.moves_tried();
    const std::size_t prefix = search.best_prefix();
    const double risk = prefix == 0 ? search.start_risk() : search.steps()[prefix - 1].risk_after;
    if (risk < least) best = search.placement_after(prefix);
    least = std::min(least, risk);
    if (loads.windows == 1) break;
  }
  for (const std::uint32_t e : best) plan.slots.emplace_back(e);
  relabel(problem, options.links, exchangeable_ranks(problem), plan.slots);
  return plan;
}

std::vector<LayerPlan> plan_warm(const std::vector<LayerProblem>& layers,
                                 const IncrementalOptions& options, Threads threads,
                                 Progress& progress) {
  std::vector<std::unique_ptr<WarmLayer>> searches(layers.size());
  std::vector<std::uint8_t> late(layers.size(), 0);
  std::atomic<std::uint64_t> done = 0;
  parallel_for(layers.size(), threads, [&](std::size_t i) {
    late[i] = progress.interrupted() ? 1 : 0;
    searches[i] = std::make_unique<WarmLayer>(layers[i], late[i] ? hasty(options) : options);
    progress.update("plan layers", ++done, layers.size());
  });
  std::vector<std::size_t> prefixes(layers.size());
  if (options.budget_transfers) {
    std::vector<std::vector<TrajectoryPoint>> trajectories;
    for (const auto& search : searches) trajectories.push_back(search->trajectory());
    prefixes = spread_budget(trajectories, *options.budget_transfers);
  } else {
    for (std::size_t i = 0; i < layers.size(); ++i) prefixes[i] = searches[i]->best_prefix(options);
  }
  std::vector<LayerPlan> plans(layers.size());
  parallel_for(layers.size(), threads, [&](std::size_t i) {
    plans[i] = searches[i]->take(prefixes[i]);
    plans[i].hasty = late[i] != 0;
  });
  return plans;
}

}  // namespace

PlanResult IncrementalPlanner::plan(const PlanProblem& problem, Threads threads,
                                    Progress& progress) const {
  const std::vector<LayerProblem> layers = layers_of(problem);
  check_distinct_feasible(layers.front());
  if (problem.old == nullptr && options_.needs_old) {
    throw InputError("", "incremental needs an old placement to start from (--from)");
  }
  if (problem.old != nullptr && !options_.from_scratch) {
    return assemble(problem, plan_warm(layers, options_, threads, progress), threads);
  }
  std::vector<LayerPlan> plans(layers.size());
  std::atomic<std::uint64_t> done = 0;
  parallel_for(layers.size(), threads, [&](std::size_t i) {
    const bool late = progress.interrupted();
    plans[i] = plan_from_scratch(layers[i], late ? hasty(options_) : options_);
    plans[i].hasty = late;
    progress.update("plan layers", ++done, layers.size());
  });
  return assemble(problem, std::move(plans), threads);
}

}  // namespace moeshift
