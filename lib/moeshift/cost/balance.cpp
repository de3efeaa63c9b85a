// SPDX-License-Identifier: Apache-2.0
#include "moeshift/cost/balance.hpp"

#include <algorithm>
#include <numeric>
#include <vector>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/model/layer_text.hpp"

namespace moeshift {
namespace {

void check_shapes(const LoadMatrix& load, const Placement& placement) {
  if (load.rows() == placement.layers() && load.columns() == placement.experts()) return;
  throw InputError(
      "", fmt::format("the load has {} layers x {} experts, the placement {} x {}", load.rows(),
                      load.columns(), placement.layers(), placement.experts()));
}

void add_layer(const LoadMatrix& load, const Placement& placement, LayerId layer,
               std::span<double> ranks) {
  const std::vector<std::uint32_t> counts = placement.replica_counts(layer);
  for (const ExpertId expert : load.column_ids()) {
    if (counts[expert.index()] > 0 || load(layer, expert) <= 0) continue;
    throw LayerInputError(LayerText()
                          << "layer " << layer
                          << fmt::format(": expert {} has load but no holder", expert.value()));
  }
  const std::span<const ExpertId> slots = placement.layer(layer);
  for (std::size_t slot = 0; slot < slots.size(); ++slot) {
    if (slots[slot].is_none()) continue;
    ranks[slot / placement.slots_per_rank()] +=
        load(layer, slots[slot]) / counts[slots[slot].index()];
  }
}

double peak_of(std::span<const double> ranks) {
  return *std::max_element(ranks.begin(), ranks.end());
}

std::size_t loaded_layers(const RankLoads& loads) {
  const auto ids = loads.row_ids();
  return static_cast<std::size_t>(std::count_if(
      ids.begin(), ids.end(), [&](LayerId layer) { return peak_of(loads.row(layer)) > 0; }));
}

}  // namespace

RankLoads rank_loads(const LoadMatrix& load, const Placement& placement) {
  check_shapes(load, placement);
  RankLoads loads(placement.layers(), placement.ranks(), 0.0);
  for (const LayerId layer : loads.row_ids()) add_layer(load, placement, layer, loads.row(layer));
  return loads;
}

double gap_of(double peak, double lower_bound) {
  return lower_bound > 0 ? peak / lower_bound - 1 : 0;
}

Balance balance_of(const RankLoads& loads, std::size_t serving) {
  MOESHIFT_CHECK(serving >= 1 && serving <= std::max<std::size_t>(loads.columns(), 1));
  Balance balance;
  const std::size_t loaded = loaded_layers(loads);
  if (loaded == 0) return balance;
  balance.balancedness = balance.imbalance = 0;
  double sum_of_means = 0;
  for (const LayerId layer : loads.row_ids()) {
    const auto row = loads.row(layer);
    const double peak = peak_of(row);
    if (peak <= 0) continue;
    const double mean = std::accumulate(row.begin(), row.end(), 0.0) / static_cast<double>(serving);
    balance.balancedness += mean / peak;
    balance.imbalance += peak / mean;
    balance.imbalance_trtllm += (peak - mean) / mean;
    balance.peak_load += peak;
    sum_of_means += mean;
  }
  const auto layers = static_cast<double>(loaded);
  balance.balancedness /= layers;
  balance.imbalance /= layers;
  balance.imbalance_trtllm /= layers;
  if (balance.peak_load > 0) balance.balancedness_vllm = sum_of_means / balance.peak_load;
  return balance;
}

Balance balance_of(const RankLoads& loads, std::size_t serving,
                   std::span<const double> lower_bounds) {
  MOESHIFT_CHECK(lower_bounds.size() == loads.rows());
  Balance balance = balance_of(loads, serving);
  const auto loaded = static_cast<double>(loaded_layers(loads));
  for (const LayerId layer : loads.row_ids()) {
    const auto row = loads.row(layer);
    const double peak = peak_of(row);
    const double gap = gap_of(peak, lower_bounds[layer.index()]);
    if (peak > 0) balance.gap_mean += gap / loaded;
    balance.gap_max = std::max(balance.gap_max, gap);
  }
  return balance;
}

}  // namespace moeshift
