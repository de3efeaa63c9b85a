// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/peers/trtllm.hpp"

#include <algorithm>
#include <functional>
#include <numeric>
#include <queue>
#include <utility>

namespace moeshift {

std::vector<std::uint32_t> trtllm_counts(std::span<const double> load, std::size_t slots) {
  const std::size_t experts = load.size();
  if (std::accumulate(load.begin(), load.end(), 0.0) <= 0) {
    std::vector<std::uint32_t> counts(experts, static_cast<std::uint32_t>(slots / experts));
    for (std::size_t e = 0; e < slots % experts; ++e) ++counts[e];
    return counts;
  }
  std::vector<std::uint32_t> counts(experts, 1);
  std::priority_queue<std::pair<double, std::uint32_t>> hottest;
  for (std::uint32_t e = 0; e < experts; ++e) hottest.emplace(load[e], e);
  for (std::size_t placed = experts; placed < slots; ++placed) {
    const std::uint32_t expert = hottest.top().second;
    hottest.pop();
    ++counts[expert];
    hottest.emplace(load[expert] / counts[expert], expert);
  }
  return counts;
}

std::vector<std::uint32_t> trtllm_placement(std::span<const double> load,
                                            std::span<const std::uint32_t> counts,
                                            std::size_t ranks) {
  struct Replica {
    double load;
    std::uint32_t expert;
  };
  std::vector<Replica> replicas;
  for (std::uint32_t e = 0; e < load.size(); ++e) {
    replicas.insert(replicas.end(), counts[e], Replica{load[e] / counts[e], e});
  }
  std::stable_sort(replicas.begin(), replicas.end(),
                   [](const Replica& a, const Replica& b) { return a.load > b.load; });
  const std::size_t k = replicas.size() / ranks;
  using Entry = std::pair<double, std::uint32_t>;  // load, rank
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> lightest;
  for (std::uint32_t rank = 0; rank < ranks; ++rank) lightest.emplace(0.0, rank);
  std::vector<std::uint32_t> slots(replicas.size());
  std::vector<std::size_t> filled(ranks, 0);
  for (const Replica& replica : replicas) {
    const auto [rank_load, rank] = lightest.top();
    lightest.pop();
    slots[rank * k + filled[rank]++] = replica.expert;
    if (filled[rank] < k) lightest.emplace(rank_load + replica.load, rank);
  }
  return slots;
}

LayerPlan TrtllmPlanner::plan_layer(const LayerProblem& problem) const {
  const std::vector<std::uint32_t> counts = trtllm_counts(problem.load, problem.slots());
  LayerPlan plan;
  for (const std::uint32_t e : trtllm_placement(problem.load, counts, problem.ranks())) {
    plan.slots.emplace_back(e);
  }
  return plan;
}

}  // namespace moeshift
