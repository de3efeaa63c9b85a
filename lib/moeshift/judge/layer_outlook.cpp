// SPDX-License-Identifier: Apache-2.0
#include "moeshift/judge/layer_outlook.hpp"

#include <algorithm>
#include <numeric>

#include "moeshift/cost/balance.hpp"
#include "moeshift/cost/rank_speed.hpp"
#include "moeshift/plan/layer_problem.hpp"
#include "moeshift/plan/lower_bound.hpp"

namespace moeshift {
namespace {

double largest(std::span<const double> values) {
  return *std::max_element(values.begin(), values.end());
}

/// Max over ranks of the time over the mean, which no speeds change.
std::vector<double> imbalances(const RankLoads& tokens, std::span<const double> speed) {
  std::vector<double> values;
  const RankLoads loads = rank_times(tokens, speed);
  for (const LayerId layer : loads.row_ids()) {
    const auto row = loads.row(layer);
    const auto carried = tokens.row(layer);
    const double sum = std::accumulate(carried.begin(), carried.end(), 0.0);
    values.push_back(sum > 0 ? largest(row) * static_cast<double>(row.size()) / sum : 1);
  }
  return values;
}

}  // namespace

std::vector<LayerOutlook> layer_outlooks(const LoadMatrix& load, const Placement& without,
                                         std::size_t slots, const Topology& topology,
                                         std::size_t expert_groups, const Planner& planner,
                                         Threads threads, Progress& progress,
                                         const std::vector<double>& rank_speed) {
  const std::size_t ranks = topology.ranks();
  PlanProblem problem{.load = load,
                      .samples = {},
                      .topology = topology,
                      .slots = slots,
                      .expert_groups = expert_groups,
                      .rank_speed = rank_speed};
  const std::vector<double> speed = active_speeds(problem);
  const double fastest = speed.empty() ? 1 : largest(speed);
  const std::vector<double> now = imbalances(rank_loads(load, without), speed);
  const auto best_with = [&](std::size_t slot_count) {
    problem.slots = slot_count;
    const Placement placement = planner.plan(problem, threads, progress).placement;
    return imbalances(rank_loads(load, placement), speed);
  };
  const std::vector<double> as_few = best_with(without.slots());
  const std::vector<double> with_slots = best_with(slots);
  std::vector<LayerOutlook> layers;
  double excess = 0;
  for (const LayerId layer : load.row_ids()) {
    const std::size_t i = layer.index();
    const double mean = layer_total(load, layer) / static_cast<double>(ranks);
    const double on_tokens =
        mean > 0 ? tight_lower_bound(load.row(layer), ranks, slots, with_slots[i] * mean * fastest)
                 : 0;
    const double bound = mean > 0 ? bound_on_times(speed, mean, on_tokens) / mean : 1;
    const double best = std::min(now[i], with_slots[i]);
    layers.push_back({now[i], std::min(now[i], as_few[i]), best, bound, (now[i] - best) * mean});
    excess += layers.back().excess_share;
  }
  for (LayerOutlook& layer : layers) layer.excess_share /= excess > 0 ? excess : 1;
  return layers;
}

std::vector<LayerId> layers_that_matter(std::span<const LayerOutlook> layers, double share) {
  std::vector<LayerId> order;
  for (const LayerId layer : all_ids<LayerId>(layers.size())) order.push_back(layer);
  std::stable_sort(order.begin(), order.end(), [&](LayerId a, LayerId b) {
    return layers[a.index()].excess_share > layers[b.index()].excess_share;
  });
  double sum = 0;
  std::size_t count = 0;
  while (count < order.size() && sum < share && layers[order[count].index()].excess_share > 0) {
    sum += layers[order[count++].index()].excess_share;
  }
  order.resize(count);
  return order;
}

}  // namespace moeshift
