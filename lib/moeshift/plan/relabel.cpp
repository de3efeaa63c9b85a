// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/relabel.hpp"

#include <algorithm>
#include <numeric>

#include "moeshift/core/assignment.hpp"
#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

constexpr double kForbidden = 1e9;  ///< above all that transfers cost, far below what rounds them

/// The contents of one rank, without repetition.
std::vector<ExpertId> distinct_experts(std::span<const ExpertId> rank) {
  std::vector<ExpertId> experts(rank.begin(), rank.end());
  std::sort(experts.begin(), experts.end());
  experts.erase(std::unique(experts.begin(), experts.end()), experts.end());
  if (!experts.empty() && experts.back().is_none()) experts.pop_back();
  return experts;
}

/// cost[b * n + i]: the contents of rank `bins[b]` moved to rank `ranks[i]`.
std::vector<double> contents_costs(const LayerProblem& problem, std::span<const float> prices,
                                   std::span<const ExpertId> slots,
                                   std::span<const std::uint32_t> bins,
                                   std::span<const std::uint32_t> ranks) {
  const std::size_t k = problem.slots_per_rank;
  std::vector<double> cost(bins.size() * ranks.size(), 0);
  for (std::size_t b = 0; b < bins.size(); ++b) {
    for (std::size_t i = 0; i < ranks.size() && !problem.speed.empty(); ++i) {
      // What balances a fast rank would overload a slow one.
      const bool alike = problem.speed[bins[b]] == problem.speed[ranks[i]];
      if (!alike) cost[b * ranks.size() + i] = kForbidden;
    }
    for (const ExpertId expert : distinct_experts(slots.subspan(bins[b] * k, k))) {
      for (std::size_t i = 0; i < ranks.size(); ++i) {
        cost[b * ranks.size() + i] += prices[ranks[i] * problem.experts() + expert.index()];
      }
    }
  }
  return cost;
}

std::vector<std::vector<std::uint32_t>> ranks_by_node(const LayerProblem& problem) {
  std::vector<std::vector<std::uint32_t>> nodes(problem.nodes);
  for (std::uint32_t rank = 0; rank < problem.ranks(); ++rank) {
    nodes[problem.node_of[rank]].push_back(rank);
  }
  return nodes;
}

/// For every rank, the rank that takes its contents: assignments of ranks inside node pairs, then
/// of nodes.
std::vector<std::uint32_t> by_nodes(const LayerProblem& problem, std::span<const float> prices,
                                    std::span<const ExpertId> slots) {
  const auto nodes = ranks_by_node(problem);
  const std::size_t n = nodes.size();
  // Nodes of different size cannot swap.
  std::vector<double> node_cost(n * n, kForbidden);
  std::vector<std::vector<std::uint32_t>> inner(n * n);
  for (std::size_t from = 0; from < n; ++from) {
    for (std::size_t to = 0; to < n; ++to) {
      const std::size_t size = nodes[from].size();
      if (nodes[to].size() != size) continue;
      const auto cost = contents_costs(problem, prices, slots, nodes[from], nodes[to]);
      inner[from * n + to] = min_cost_assignment(cost, size);
      node_cost[from * n + to] = 0;
      for (std::size_t i = 0; i < size; ++i) {
        node_cost[from * n + to] += cost[i * size + inner[from * n + to][i]];
      }
    }
  }
  const std::vector<std::uint32_t> outer = min_cost_assignment(node_cost, n);
  std::vector<std::uint32_t> target(problem.ranks());
  for (std::size_t from = 0; from < n; ++from) {
    const auto& chosen = inner[from * n + outer[from]];
    for (std::size_t i = 0; i < nodes[from].size(); ++i) {
      target[nodes[from][i]] = nodes[outer[from]][chosen[i]];
    }
  }
  return target;
}

std::vector<std::uint32_t> by_ranks(const LayerProblem& problem, std::span<const float> prices,
                                    std::span<const ExpertId> slots) {
  std::vector<std::uint32_t> all(problem.ranks());
  std::iota(all.begin(), all.end(), 0U);
  return min_cost_assignment(contents_costs(problem, prices, slots, all, all), all.size());
}

}  // namespace

std::vector<float> holding_prices(const LayerProblem& problem, const LinkPrices& prices) {
  const std::size_t experts = problem.experts();
  if (problem.held.empty()) return std::vector<float>(problem.ranks() * experts, 0.0F);
  // First what a node's ranks have in common.
  std::vector<float> on_node(problem.nodes * experts, static_cast<float>(prices.inter_node));
  for (std::size_t rank = 0; rank < problem.ranks(); ++rank) {
    float* node = on_node.data() + problem.node_of[rank] * experts;
    for (const ExpertId expert : problem.held[rank]) {
      if (!expert.is_none()) node[expert.index()] = static_cast<float>(prices.intra_node);
    }
  }
  std::vector<float> price;
  price.reserve(problem.ranks() * experts);
  for (std::size_t rank = 0; rank < problem.ranks(); ++rank) {
    const float* node = on_node.data() + problem.node_of[rank] * experts;
    price.insert(price.end(), node, node + experts);
    for (const ExpertId expert : problem.held[rank]) {
      if (!expert.is_none()) price[rank * experts + expert.index()] = 0;
    }
  }
  return price;
}

void keep_slots_in_place(const LayerProblem& problem, std::vector<ExpertId>& slots) {
  const std::size_t k = problem.slots_per_rank;
  for (std::size_t rank = 0; rank < problem.held.size(); ++rank) {
    const std::span<const ExpertId> old = problem.held[rank];
    if (old.size() != k) continue;
    const std::span<ExpertId> now = std::span(slots).subspan(rank * k, k);
    std::vector<ExpertId> arriving(now.begin(), now.end());
    std::vector<bool> kept(k, false);
    for (std::size_t slot = 0; slot < k; ++slot) {
      const auto match = std::find(arriving.begin(), arriving.end(), old[slot]);
      if (old[slot].is_none() || match == arriving.end()) continue;
      arriving.erase(match);
      now[slot] = old[slot];
      kept[slot] = true;
    }
    std::size_t next = 0;
    for (std::size_t slot = 0; slot < k; ++slot) {
      if (!kept[slot]) now[slot] = arriving[next++];
    }
  }
}

double priced_cost(const LayerProblem& problem, std::span<const float> prices,
                   std::span<const ExpertId> slots) {
  const std::size_t k = problem.slots_per_rank;
  double sum = 0;
  for (std::size_t rank = 0; rank < problem.ranks(); ++rank) {
    for (const ExpertId expert : distinct_experts(slots.subspan(rank * k, k))) {
      sum += prices[rank * problem.experts() + expert.index()];
    }
  }
  return sum;
}

std::size_t arrivals(const LayerProblem& problem, std::span<const ExpertId> slots) {
  if (problem.held.empty()) return 0;
  const std::size_t k = problem.slots_per_rank;
  std::size_t count = 0;
  for (std::size_t rank = 0; rank < problem.ranks(); ++rank) {
    const auto& held = problem.held[rank];
    for (const ExpertId expert : distinct_experts(slots.subspan(rank * k, k))) {
      if (std::find(held.begin(), held.end(), expert) == held.end()) ++count;
    }
  }
  return count;
}

void relabel(const LayerProblem& problem, const LinkPrices& prices, Exchangeable scope,
             std::vector<ExpertId>& slots) {
  if (problem.held.empty()) return;
  constexpr std::size_t kMostFlat = 256;
  const bool flat = scope == Exchangeable::kRanks && problem.ranks() <= kMostFlat;
  const std::vector<float> price = holding_prices(problem, prices);
  const std::vector<std::uint32_t> target =
      flat ? by_ranks(problem, price, slots) : by_nodes(problem, price, slots);
  const std::size_t k = problem.slots_per_rank;
  std::vector<ExpertId> renamed(slots.size());
  for (std::size_t rank = 0; rank < problem.ranks(); ++rank) {
    std::copy_n(slots.begin() + static_cast<std::ptrdiff_t>(rank * k), k,
                renamed.begin() + static_cast<std::ptrdiff_t>(target[rank] * k));
  }
  slots = std::move(renamed);
  keep_slots_in_place(problem, slots);
}

}  // namespace moeshift
