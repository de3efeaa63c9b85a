// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/fresh/hierarchical.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/plan/fresh/apportion.hpp"
#include "moeshift/plan/fresh/eplb_steps.hpp"
#include "moeshift/plan/fresh/group_homes.hpp"
#include "moeshift/plan/fresh/packing.hpp"
#include "moeshift/plan/lower_bound.hpp"
#include "moeshift/plan/search/coverage.hpp"
#include "moeshift/plan/search/rank_speed.hpp"
#include "moeshift/plan/search/window_search.hpp"

namespace moeshift {
namespace {

/// Ranks [first, first + count) of one node.
struct NodeRanks {
  std::size_t first = 0;
  std::size_t count = 0;
};

NodeRanks ranks_of(const LayerProblem& problem, std::size_t node) {
  const auto [first, last] = std::equal_range(problem.node_of.begin(), problem.node_of.end(), node);
  return {static_cast<std::size_t>(first - problem.node_of.begin()),
          static_cast<std::size_t>(last - first)};
}

/// Coverage inside one node, where no expert may leave it.
std::uint64_t cover_node(const LayerProblem& problem, std::size_t node, NodeRanks ranks,
                         std::span<const double> load, std::vector<std::uint32_t>& experts) {
  if (problem.survive.losses == 0) return 0;
  if (problem.survive.by_node) {
    throw InfeasibleError(
        "hard keeps all replicas of an expert in one node, so that the loss of that "
        "node takes them all; soft:B and price:x can spread them");
  }
  LayerProblem inside = problem;
  inside.load = load;
  inside.samples.clear();
  inside.held.clear();
  inside.node_of.assign(ranks.count, static_cast<std::uint32_t>(node));
  inside.nodes = 1;
  check_survivable(inside.exposure());
  return cover_and_balance(inside, load, experts);
}

/// Every node as a flat problem of its own groups.
std::vector<std::uint32_t> plan_by_node(const LayerProblem& problem, std::span<const double> load,
                                        const GroupHomes& homes, const Effort& effort, bool hard,
                                        std::uint64_t& moves_tried) {
  std::vector<std::uint32_t> slots(problem.slots());
  for (std::size_t node = 0; node < problem.nodes; ++node) {
    std::vector<std::uint32_t> experts;
    std::vector<double> node_load;
    for (std::uint32_t e = 0; e < load.size(); ++e) {
      if (!homes.at_home(node, e)) continue;
      experts.push_back(e);
      node_load.push_back(load[e]);
    }
    const NodeRanks ranks = ranks_of(problem, node);
    FreshPlan plan = plan_fresh(node_load, ranks.count, problem.slots_per_rank, effort,
                                problem.seed ^ problem.layer.value());
    moves_tried += plan.moves_tried;
    if (hard) moves_tried += cover_node(problem, node, ranks, node_load, plan.experts);
    for (std::size_t i = 0; i < plan.experts.size(); ++i) {
      slots[ranks.first * problem.slots_per_rank + i] = experts[plan.experts[i]];
    }
  }
  return slots;
}

/// Largest replica first to the lightest home rank with room, else to the lightest rank with room.
class HomeFirstPacker {
 public:
  HomeFirstPacker(const LayerProblem& problem, std::span<const double> load,
                  const GroupHomes& homes)
      : problem_(problem),
        load_(load),
        homes_(homes),
        counts_(adams_counts(load, problem.slots(), problem.ranks())),
        rank_load_(problem.ranks(), 0),
        held_(problem.ranks()) {}

  std::vector<std::uint32_t> pack() {
    std::vector<std::uint32_t> order(load_.size());
    std::iota(order.begin(), order.end(), 0U);
    std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
      return load_[a] / counts_[a] > load_[b] / counts_[b];
    });
    for (const std::uint32_t e : order) {
      for (std::uint32_t copy = 0; copy < counts_[e]; ++copy) {
        const std::size_t rank = best_rank(e);
        held_[rank].push_back(e);
        rank_load_[rank] += load_[e] / counts_[e];
      }
    }
    std::vector<std::uint32_t> slots;
    for (const auto& rank : held_) slots.insert(slots.end(), rank.begin(), rank.end());
    make_distinct(load_, counts_, problem_.ranks(), slots);
    return slots;
  }

 private:
  [[nodiscard]] std::size_t best_rank(std::uint32_t expert) const {
    std::size_t best = problem_.ranks();
    std::pair<int, double> least{3, 0};
    for (std::size_t rank = 0; rank < problem_.ranks(); ++rank) {
      if (held_[rank].size() == problem_.slots_per_rank) continue;
      const bool doubled =
          std::find(held_[rank].begin(), held_[rank].end(), expert) != held_[rank].end();
      const bool home = homes_.at_home(problem_.node_of[rank], expert);
      const std::pair<int, double> rating{doubled ? 2 : (home ? 0 : 1), rank_load_[rank]};
      if (best < problem_.ranks() && rating >= least) continue;
      best = rank;
      least = rating;
    }
    return best;
  }

  const LayerProblem& problem_;
  std::span<const double> load_;
  const GroupHomes& homes_;
  std::vector<std::uint32_t> counts_;
  std::vector<double> rank_load_;
  std::vector<std::vector<std::uint32_t>> held_;
};

/// 1 where an expert is off home, [ranks, experts].
std::vector<float> off_home_prices(const LayerProblem& problem, const GroupHomes& homes) {
  std::vector<float> prices(problem.ranks() * problem.experts());
  for (std::size_t rank = 0; rank < problem.ranks(); ++rank) {
    for (std::size_t e = 0; e < problem.experts(); ++e) {
      prices[rank * problem.experts() + e] = homes.at_home(problem.node_of[rank], e) ? 0.0F : 1.0F;
    }
  }
  return prices;
}

WindowSearchOptions search_options(const LayerProblem& problem, std::span<const double> load,
                                   const HomeRule& rule, const Effort& effort) {
  WindowSearchOptions options;
  options.node_of = problem.node_of;
  const double mean =
      std::accumulate(load.begin(), load.end(), 0.0) / static_cast<double>(problem.ranks());
  const double bound =
      bound_on_times(problem.speed, mean, lower_bound(load, problem.ranks(), problem.slots()));
  options.target = bound / mean * (1 + effort.tolerance);
  options.max_steps = 1000;
  options.patience = 60;
  options.cuts = {0.0, 0.3, 0.9};
  options.holders = holder_rule(problem);
  options.speed = problem.speed;
  options.progress = problem.progress;
  options.cost_by_load = rule.kind == HomeRule::Kind::kPrice;
  if (rule.kind == HomeRule::Kind::kPrice) {
    options.price.per_unit = rule.value;
  } else {
    options.budget = rule.value;
  }
  return options;
}

/// As `balanced` plans.
LayerPlan plan_flat(const LayerProblem& problem, std::span<const double> load, const Effort& effort,
                    const LinkPrices& links) {
  FreshPlan fresh = plan_fresh(load, problem.ranks(), problem.slots_per_rank, effort,
                               problem.seed ^ problem.layer.value());
  LayerPlan plan;
  plan.moves_tried = fresh.moves_tried + cover_and_balance(problem, load, fresh.experts) +
                     balance_times(problem, load, effort.tolerance, fresh.experts);
  for (const std::uint32_t e : fresh.experts) plan.slots.emplace_back(e);
  relabel(problem, links, exchangeable_ranks(problem), plan.slots);
  return plan;
}

double number_after(const std::string& text, std::size_t prefix) {
  double value = -1;
  const char* end = text.data() + text.size();
  const auto read = std::from_chars(text.data() + prefix, end, value);
  return read.ec == std::errc() && read.ptr == end ? value : -1;
}

}  // namespace

HomeRule home_rule(const std::string& name) {
  if (name == "auto") return {};
  if (name == "hard") return {.kind = HomeRule::Kind::kHard, .value = 0};
  const bool soft = name.starts_with("soft:");
  const bool price = name.starts_with("price:");
  const double value = soft ? number_after(name, 5) : price ? number_after(name, 6) : -1;
  if (value >= 0 && value < 1e9) {
    return {.kind = soft ? HomeRule::Kind::kSoft : HomeRule::Kind::kPrice, .value = value};
  }
  throw InputError("", fmt::format("unknown home rule '{}'; expected auto, hard, soft:B (at most B "
                                   "off-home replicas per layer) or price:x (cost of an off-home "
                                   "token)",
                                   name));
}

LayerPlan HierarchicalPlanner::plan_layer(const LayerProblem& problem) const {
  if (rule_.kind != HomeRule::Kind::kAuto) return plan_by(problem, rule_);
  const bool even = problem.even_nodes() && problem.expert_groups % problem.nodes == 0;
  return even ? plan_by(problem, {HomeRule::Kind::kSoft, 16}) : plan_unevenly(problem);
}

LayerPlan HierarchicalPlanner::plan_unevenly(const LayerProblem& problem) const {
  constexpr double kAsGood = 1e-3;
  LayerPlan plan = plan_by(problem, {HomeRule::Kind::kPrice, 1e-3});
  const std::vector<double> load = positive_load(problem.load);
  const double flat_peak = plan_by_eplb_steps(load, problem.ranks(), problem.slots()).peak;
  if (peak_of(problem, plan.slots) <= flat_peak * (1 + kAsGood)) return plan;
  LayerPlan flat = plan_flat(problem, load, effort_, links_);
  flat.moves_tried += plan.moves_tried;
  return peak_of(problem, flat.slots) < peak_of(problem, plan.slots) ? flat : plan;
}

LayerPlan HierarchicalPlanner::plan_by(const LayerProblem& problem, const HomeRule& rule) const {
  check_distinct_feasible(problem);
  if (problem.experts() % problem.expert_groups != 0) {
    throw InputError("groups", fmt::format("{} experts do not divide evenly into {} groups",
                                           problem.experts(), problem.expert_groups));
  }
  const std::vector<double> load = positive_load(problem.load);
  const GroupHomes homes = home_groups(problem, load);
  const bool hard = rule.kind == HomeRule::Kind::kHard;
  if (hard && !homes.whole_groups) {
    throw InfeasibleError(
        fmt::format("{} expert groups do not fit whole into {} nodes; soft:B and "
                    "price:x can split them",
                    problem.expert_groups, problem.nodes));
  }
  LayerPlan plan;
  std::vector<std::uint32_t> experts =
      homes.whole_groups ? plan_by_node(problem, load, homes, effort_, hard, plan.moves_tried)
                         : HomeFirstPacker(problem, load, homes).pack();
  if (hard && problem.speed.empty()) {
    plan.lower_bound = homes.lower_bound * (1 - 1e-9);
  } else {
    cover(problem, load, experts);
    const std::vector<float> prices = off_home_prices(problem, homes);
    LayerProblem scaled = problem;
    scaled.load = load;
    const WindowLoads loads = windows_of(scaled, false);
    WindowSearchOptions options = search_options(problem, load, rule, effort_);
    WindowSearch start(loads, problem.ranks(), experts, prices, options);
    options.budget = std::max(options.budget, start.start_cost());
    WindowSearch search(loads, problem.ranks(), std::move(experts), prices, options);
    search.run();
    plan.moves_tried += search.moves_tried();
    experts = search.placement_after(search.best_prefix());
  }
  for (const std::uint32_t e : experts) plan.slots.emplace_back(e);
  relabel(problem, links_, Exchangeable::kWithinAndNodes, plan.slots);
  return plan;
}

LayerPlan HierarchicalPlanner::plan_layer_hastily(const LayerProblem& problem) const {
  if (problem.can_keep()) return LayeredPlanner::plan_layer_hastily(problem);
  LayerPlan plan = HierarchicalPlanner(rule_, least_effort(), links_).plan_layer(problem);
  plan.hasty = true;
  return plan;
}

}  // namespace moeshift
