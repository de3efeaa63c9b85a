// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/asked/objective_planner.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>
#include <queue>
#include <tuple>
#include <vector>

#include "moeshift/plan/fresh/packing.hpp"
#include "moeshift/plan/layered_planner.hpp"
#include "moeshift/plan/relabel.hpp"

namespace moeshift {
namespace {

/// `load` as loads whose even share among `counts` replicas is the cost of a replica; scaled to the
/// same total, so that figures stay tokens in size.
std::vector<double> converted(std::span<const double> load, const Objective& objective,
                              std::span<const std::uint32_t> counts) {
  const LayerObjective of_layer(objective, load);
  std::vector<double> costs(load.size());
  for (std::size_t e = 0; e < load.size(); ++e) {
    const std::uint32_t replicas = std::max(counts[e], 1U);
    costs[e] = replicas * of_layer.cost(e, replicas);
  }
  const double total = std::accumulate(costs.begin(), costs.end(), 0.0);
  const double tokens = std::accumulate(load.begin(), load.end(), 0.0);
  for (double& cost : costs) cost *= total > 0 ? tokens / total : 0;
  return costs;
}

LoadMatrix converted(const LoadMatrix& load, const Objective& objective,
                     const Placement& placement) {
  LoadMatrix costs(load.rows(), load.columns());
  for (const LayerId layer : load.row_ids()) {
    const auto row = converted(load.row(layer), objective, placement.replica_counts(layer));
    std::copy(row.begin(), row.end(), costs.row(layer).begin());
  }
  return costs;
}

/// One replica each, then `hot` more by the most cost per replica and the rest by the least
/// addition to the total cost; never past `most`.
std::vector<std::uint32_t> counts_for(const LayerObjective& objective, std::size_t experts,
                                      std::size_t slots, std::size_t hot, std::size_t most) {
  std::vector<std::uint32_t> counts(experts, 1);
  const auto hand_out = [&](std::size_t number, const auto& urgency) {
    std::priority_queue<std::pair<double, std::int64_t>> next;
    for (std::size_t e = 0; e < experts; ++e) {
      if (counts[e] < most) next.emplace(urgency(e), -static_cast<std::int64_t>(e));
    }
    for (; number > 0 && !next.empty(); --number) {
      const auto e = static_cast<std::size_t>(-next.top().second);
      next.pop();
      if (++counts[e] < most) next.emplace(urgency(e), -static_cast<std::int64_t>(e));
    }
  };
  hand_out(hot, [&](std::size_t e) { return objective.cost(e, counts[e]); });
  hand_out(slots - experts - hot, [&](std::size_t e) {
    return counts[e] * objective.cost(e, counts[e]) -
           (counts[e] + 1) * objective.cost(e, counts[e] + 1);
  });
  return counts;
}

/// A packing whose replicas keep their numbers; only who sits where changes.
class SwapDescent {
 public:
  SwapDescent(std::vector<std::uint32_t> slots, std::span<const double> cost, std::size_t ranks)
      : slots_(std::move(slots)), cost_(cost), k_(slots_.size() / ranks), rank_cost_(ranks, 0) {
    for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
      rank_cost_[slot / k_] += cost_[slots_[slot]];
    }
  }

  void run(std::size_t most_swaps) {
    while (most_swaps > 0 && swap_busiest()) --most_swaps;
  }
  [[nodiscard]] double peak() const {
    return *std::max_element(rank_cost_.begin(), rank_cost_.end());
  }
  [[nodiscard]] const std::vector<std::uint32_t>& slots() const { return slots_; }

 private:
  bool swap_busiest() {
    const auto busiest = static_cast<std::size_t>(
        std::max_element(rank_cost_.begin(), rank_cost_.end()) - rank_cost_.begin());
    double least = rank_cost_[busiest] * (1 - 1e-9);
    std::size_t give = slots_.size();
    std::size_t take = slots_.size();
    for (std::size_t i = busiest * k_; i < (busiest + 1) * k_; ++i) {
      for (std::size_t j = 0; j < slots_.size(); ++j) {
        const double shift = cost_[slots_[i]] - cost_[slots_[j]];
        const double after = std::max(rank_cost_[busiest] - shift, rank_cost_[j / k_] + shift);
        if (after >= least || on_rank(j / k_, slots_[i]) || on_rank(busiest, slots_[j])) continue;
        least = after;
        std::tie(give, take) = std::tie(i, j);
      }
    }
    if (give == slots_.size()) return false;
    const double shift = cost_[slots_[give]] - cost_[slots_[take]];
    rank_cost_[busiest] -= shift;
    rank_cost_[take / k_] += shift;
    std::swap(slots_[give], slots_[take]);
    return true;
  }

  [[nodiscard]] bool on_rank(std::size_t rank, std::uint32_t expert) const {
    const auto held = std::span(slots_).subspan(rank * k_, k_);
    return std::find(held.begin(), held.end(), expert) != held.end();
  }

  std::vector<std::uint32_t> slots_;
  std::span<const double> cost_;  ///< [experts] of a replica
  std::size_t k_;
  std::vector<double> rank_cost_;
};

/// The best plan from counts that the objective likes.
LayerPlan plan_by_counts(const LayerProblem& problem, const Objective& objective) {
  check_distinct_feasible(problem);
  const LayerObjective of_layer(objective, problem.load);
  const std::size_t spare = problem.slots() - problem.experts();
  double least = std::numeric_limits<double>::infinity();
  std::vector<std::uint32_t> best;
  for (const std::size_t quarters : {0U, 1U, 2U, 3U, 4U}) {
    const auto counts = counts_for(of_layer, problem.experts(), problem.slots(),
                                   spare * quarters / 4, problem.ranks());
    std::vector<double> replica(problem.experts());
    std::vector<double> expert(problem.experts());
    for (std::size_t e = 0; e < replica.size(); ++e) {
      replica[e] = of_layer.cost(e, counts[e]);
      expert[e] = replica[e] * counts[e];
    }
    for (const auto pack : {pack_by_differencing, pack_largest_first_distinct}) {
      SwapDescent descent(pack(expert, counts, problem.ranks()), replica, problem.ranks());
      descent.run(200);
      if (descent.peak() >= least) continue;
      least = descent.peak();
      best = descent.slots();
    }
  }
  LayerPlan plan;
  for (const std::uint32_t e : best) plan.slots.emplace_back(e);
  relabel(problem, {}, Exchangeable::kRanks, plan.slots);
  return plan;
}

/// Per layer the answer whose busiest rank costs least, the first on ties.
class Selection {
 public:
  Selection(const PlanProblem& problem, const Objective& objective)
      : problem_(problem),
        objective_(objective),
        least_(problem.layers(), std::numeric_limits<double>::infinity()),
        chosen_(problem.layers(), 0) {}

  void offer(PlanResult result) {
    const RankLoads costs = rank_costs(problem_.load, result.placement, objective_);
    for (const LayerId layer : costs.row_ids()) {
      const auto row = costs.row(layer);
      const double peak = *std::max_element(row.begin(), row.end());
      if (peak >= least_[layer.index()] * (1 - 1e-9)) continue;
      least_[layer.index()] = peak;
      chosen_[layer.index()] = offers_.size();
    }
    offers_.push_back(std::move(result));
  }

  [[nodiscard]] PlanResult take(Threads threads) const {
    return combine(problem_, offers_, chosen_, threads);
  }

 private:
  const PlanProblem& problem_;
  const Objective& objective_;
  std::vector<PlanResult> offers_;
  std::vector<double> least_;
  std::vector<std::size_t> chosen_;
};

}  // namespace

PlanResult ObjectivePlanner::plan(const PlanProblem& problem, Threads threads,
                                  Progress& progress) const {
  PlanResult on_tokens = policy_->plan(problem, threads, progress);
  if (objective_.counts_tokens_only()) return on_tokens;
  constexpr int kRounds = 2;
  Selection selection(problem, objective_);
  Placement before = on_tokens.placement;
  selection.offer(std::move(on_tokens));
  for (int round = 0; round < kRounds && !progress.interrupted(); ++round) {
    PlanProblem costs = problem;
    costs.load = converted(problem.load, objective_, before);
    for (LoadMatrix& sample : costs.samples) sample = converted(sample, objective_, before);
    PlanResult result = policy_->plan(costs, threads, progress);
    before = result.placement;
    selection.offer(std::move(result));
  }
  if (afresh_ && problem.survive.losses == 0 && !progress.interrupted()) {
    const std::vector<LayerProblem> layers = layers_of(problem);
    std::vector<LayerPlan> plans(layers.size());
    parallel_for(layers.size(), threads,
                 [&](std::size_t i) { plans[i] = plan_by_counts(layers[i], objective_); });
    selection.offer(assemble(problem, std::move(plans), threads));
  }
  return selection.take(threads);
}

}  // namespace moeshift
