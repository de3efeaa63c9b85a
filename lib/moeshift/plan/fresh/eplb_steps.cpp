// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/fresh/eplb_steps.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <functional>
#include <numeric>
#include <queue>
#include <utility>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

/// Indices by weight, heaviest first; equal weights keep their order. Sorted as whole numbers, the
/// weight's bits above the index: floats that are not negative order as their bits do.
std::vector<std::uint32_t> heaviest_first(std::span<const float> weights) {
  std::vector<std::uint64_t> keys(weights.size());
  for (std::uint32_t i = 0; i < weights.size(); ++i) {
    MOESHIFT_CHECK(weights[i] >= 0);
    const auto bits = std::bit_cast<std::uint32_t>(weights[i] + 0.0F);  // -0 becomes 0
    keys[i] = std::uint64_t{~bits} << 32 | i;
  }
  std::sort(keys.begin(), keys.end());
  std::vector<std::uint32_t> order(weights.size());
  std::transform(keys.begin(), keys.end(), order.begin(),
                 [](std::uint64_t key) { return static_cast<std::uint32_t>(key); });
  return order;
}

Packing identity_packing(std::size_t items) {
  Packing packing{std::vector<std::uint32_t>(items), std::vector<std::uint32_t>(items, 0U)};
  std::iota(packing.pack.begin(), packing.pack.end(), 0U);
  return packing;
}

}  // namespace

Packing pack_largest_first(std::span<const float> weights, std::size_t packs) {
  MOESHIFT_CHECK(packs > 0 && weights.size() % packs == 0);
  const std::size_t capacity = weights.size() / packs;
  if (capacity == 1) return identity_packing(weights.size());
  using Entry = std::pair<float, std::uint32_t>;  // running weight, pack
  std::vector<Entry> entries;
  for (std::uint32_t p = 0; p < packs; ++p) entries.emplace_back(0.0F, p);
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> lightest(std::greater<>{},
                                                                          std::move(entries));
  Packing packing{std::vector<std::uint32_t>(weights.size()),
                  std::vector<std::uint32_t>(weights.size())};
  std::vector<std::uint32_t> items(packs, 0);
  for (const std::uint32_t item : heaviest_first(weights)) {
    const auto [weight, pack] = lightest.top();
    lightest.pop();
    packing.pack[item] = pack;
    packing.position[item] = items[pack]++;
    if (items[pack] < capacity) lightest.emplace(weight + weights[item], pack);
  }
  return packing;
}

Packing pack_snake(std::span<const float> weights, std::size_t packs) {
  MOESHIFT_CHECK(packs > 0 && weights.size() % packs == 0);
  if (weights.size() == packs) return identity_packing(weights.size());
  Packing packing{std::vector<std::uint32_t>(weights.size()),
                  std::vector<std::uint32_t>(weights.size())};
  const std::vector<std::uint32_t> order = heaviest_first(weights);
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::size_t row = i / packs;
    const std::size_t column = i % packs;
    packing.pack[order[i]] = static_cast<std::uint32_t>(row % 2 == 0 ? column : packs - 1 - column);
    packing.position[order[i]] = static_cast<std::uint32_t>(row);
  }
  return packing;
}

std::vector<std::uint32_t> replicate_greedily(std::span<const float> weights, std::size_t slots) {
  MOESHIFT_CHECK(slots >= weights.size());
  struct Entry {
    float share;
    std::uint32_t expert;
    bool operator<(const Entry& other) const {
      return share != other.share ? share < other.share : expert > other.expert;
    }
  };
  std::vector<std::uint32_t> replicas(slots);
  std::iota(replicas.begin(), replicas.begin() + static_cast<std::ptrdiff_t>(weights.size()), 0U);
  std::vector<Entry> entries;
  for (std::uint32_t e = 0; e < weights.size(); ++e) entries.push_back({weights[e], e});
  std::priority_queue<Entry> hottest(std::less<Entry>{}, std::move(entries));
  std::vector<std::uint32_t> counts(weights.size(), 1);
  for (std::size_t slot = weights.size(); slot < slots; ++slot) {
    const std::uint32_t expert = hottest.top().expert;
    hottest.pop();
    replicas[slot] = expert;
    ++counts[expert];
    hottest.push({weights[expert] / static_cast<float>(counts[expert]), expert});
  }
  return replicas;
}

EplbPlan plan_by_eplb_steps(std::span<const double> load, std::size_t ranks, std::size_t slots) {
  const std::vector<float> weights(load.begin(), load.end());
  const std::vector<std::uint32_t> replicas = replicate_greedily(weights, slots);
  EplbPlan plan{std::vector<std::uint32_t>(slots), std::vector<std::uint32_t>(load.size(), 0)};
  for (const std::uint32_t e : replicas) ++plan.counts[e];
  std::vector<float> shares;
  for (const std::uint32_t e : replicas) {
    shares.push_back(weights[e] / static_cast<float>(plan.counts[e]));
  }
  const Packing packed = pack_largest_first(shares, ranks);
  std::vector<double> rank_load(ranks, 0);
  for (std::size_t i = 0; i < slots; ++i) {
    plan.experts[packed.pack[i] * (slots / ranks) + packed.position[i]] = replicas[i];
    rank_load[packed.pack[i]] += load[replicas[i]] / plan.counts[replicas[i]];
  }
  plan.peak = *std::max_element(rank_load.begin(), rank_load.end());
  return plan;
}

}  // namespace moeshift
