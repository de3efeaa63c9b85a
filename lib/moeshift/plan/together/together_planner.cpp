// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/together/together_planner.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/plan/layered_planner.hpp"
#include "moeshift/plan/relabel.hpp"
#include "moeshift/plan/together/together_layer.hpp"

namespace moeshift {
namespace {

void check_routes(const PlanProblem& problem) {
  const RouteSummary& routes = *problem.routes;
  if (routes.num_layers() == problem.layers() && routes.num_experts == problem.experts()) return;
  throw InputError("routes",
                   fmt::format("expected {} layers x {} experts, got {} x {}", problem.layers(),
                               problem.experts(), routes.num_layers(), routes.num_experts));
}

/// Every second token of a sample, as if it were all there is.
LayerTogether half_of(const LayerTogether& whole, std::size_t parity) {
  LayerTogether half;
  half.pairs = PairCounts(whole.pairs.experts());
  half.sample.top_k = whole.sample.top_k;
  for (std::size_t i = parity; i < whole.sample.size(); i += 2) {
    const auto row = whole.sample.row(i);
    for (std::size_t a = 0; a < row.size(); ++a) {
      for (std::size_t b = a; b < row.size(); ++b) half.pairs.add(row[a], row[b], 1);
    }
    half.sample.token.push_back(whole.sample.token[i]);
    half.sample.source.push_back(whole.sample.source[i]);
    half.sample.experts.insert(half.sample.experts.end(), row.begin(), row.end());
    ++half.tokens;
  }
  return half;
}

/// Tokens that a layer is scored on while it is planned: an even draw of the draw.
constexpr std::size_t kMostScored = 2048;

/// One layer of all windows, and of two halves that judge each other.
struct Halves {
  LayerTogether all, first, second;

  /// @param with_tokens the halves are scored on tokens, too.
  Halves(const RouteSummary& routes, std::size_t layer, bool with_tokens)
      : all(joined_layer(routes, layer, 0, 0, kMostScored)) {
    const std::size_t windows = routes.windows.size();
    if (windows > 1) {
      const std::size_t most = with_tokens ? kMostScored : 0;
      first = joined_layer(routes, layer, windows / 2, windows, most);
      second = joined_layer(routes, layer, 0, windows / 2, most);
    } else {
      first = half_of(all, 0);
      second = half_of(all, 1);
    }
  }
};

std::vector<ExpertId> active_slots(const PlanResult& plan, std::span<const RankId> active,
                                   LayerId layer) {
  std::vector<ExpertId> slots;
  for (const RankId rank : active) {
    const auto held = plan.placement.rank_slots(layer, rank);
    slots.insert(slots.end(), held.begin(), held.end());
  }
  return slots;
}

/// How many replicas may arrive in each layer under a budget over all.
std::vector<std::optional<std::size_t>> arrivals_allowed(const NetworkGoal& goal,
                                                         const std::vector<LayerProblem>& layers,
                                                         const PlanResult& plan,
                                                         std::span<const RankId> active) {
  std::vector<std::optional<std::size_t>> allowed(layers.size());
  if (!goal.most_transfers) return allowed;
  double sum = 0;
  for (std::size_t l = 0; l < layers.size(); ++l) {
    allowed[l] = arrivals(layers[l], active_slots(plan, active, LayerId(l)));
    sum += static_cast<double>(*allowed[l]);
  }
  const double left = std::max(0.0, *goal.most_transfers - sum);
  const auto each = static_cast<std::size_t>(std::floor(left / static_cast<double>(layers.size())));
  for (auto& of_layer : allowed) *of_layer += each;
  return allowed;
}

}  // namespace

PlanResult TogetherPlanner::plan(const PlanProblem& problem, Threads threads,
                                 Progress& progress) const {
  PlanResult result = policy_->plan(problem, threads, progress);
  if (problem.routes == nullptr || progress.interrupted()) return result;
  check_routes(problem);
  const std::vector<LayerProblem> layers = layers_of(problem);
  const std::vector<RankId> active = active_ranks(problem);
  std::optional<PlanResult> plain;
  if (plain_) plain = plain_->plan(problem, threads, progress);
  const auto allowed = arrivals_allowed(*goal_, layers, result, active);
  std::vector<TogetherAnswer> answers(layers.size());
  std::vector<LayerPlan> plans(layers.size());
  std::atomic<std::uint64_t> done = 0;
  parallel_for(layers.size(), threads, [&](std::size_t l) {
    const LayerId id(l);
    const Halves routes(*problem.routes, l, goal_->dispatch.rule == DispatchRule::kVisited);
    std::vector<ExpertId> start = active_slots(result, active, id);
    const LayerVerdict& verdict = result.layers[l];
    plans[l].keep = verdict.keep;
    plans[l].hasty = verdict.hasty;
    TogetherLayer layer{.problem = problem,
                        .layer = layers[l],
                        .goal = *goal_,
                        .top_k = problem.routes->top_k,
                        .all = &routes.all,
                        .first = routes.first.tokens > 0 ? &routes.first : nullptr,
                        .second = routes.second.tokens > 0 ? &routes.second : nullptr,
                        .balanced_load = layers[l].load,
                        .most_arrivals = allowed[l]};
    const double tokens = layer_total(problem.load, id);
    if (tokens > 0 && routes.all.tokens > 0 && !progress.interrupted()) {
      if (plain) {
        const LayerScore exact(problem, *goal_, layer.top_k, routes.all, true);
        std::vector<ExpertId> other = active_slots(*plain, active, id);
        const bool priced = goal_->serving.has_value();
        if (exact.of(layers[l].load, other).value(priced) <
            exact.of(layers[l].load, start).value(priced)) {
          start = std::move(other);
        }
      }
      answers[l] = plan_layer_together(layer, start);
      plans[l].keep = plans[l].keep && !answers[l].changed;
      start = answers[l].slots;
    }
    plans[l].slots = std::move(start);
    progress.update("spare the network", ++done, layers.size());
  });
  PlanResult spared = assemble(problem, std::move(plans), threads);
  spared.moves_tried += result.moves_tried;
  for (std::size_t l = 0; l < layers.size(); ++l) {
    spared.moves_tried += answers[l].tried;
    spared.network.push_back(answers[l].verdict);
    // The better certified bound of the policy still holds: it is on every placement.
    LayerVerdict& verdict = spared.layers[l];
    verdict.lower_bound =
        std::min(std::max(verdict.lower_bound, result.layers[l].lower_bound), verdict.peak);
    verdict.gap = gap_of(verdict.peak, verdict.lower_bound);
  }
  for (const MoveReason& reason : result.reasons) {
    if (!answers[reason.layer.index()].changed) spared.reasons.push_back(reason);
  }
  return spared;
}

std::shared_ptr<const NetworkGoal> goal_as(std::string_view policy, NetworkGoal goal,
                                           const MovePrices& prices) {
  goal.inter_node_price = prices.inter_node;
  goal.within_nodes = policy == "hierarchical";
  goal.each_window = policy == "robust";
  if (policy == "incremental" || policy == "robust") {
    goal.price_of_transfer = prices.transfer;
    goal.most_transfers = prices.most_transfers;
  }
  return std::make_shared<const NetworkGoal>(std::move(goal));
}

}  // namespace moeshift
