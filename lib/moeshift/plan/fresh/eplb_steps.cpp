// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/fresh/eplb_steps.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <numeric>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

/// Orders as (weight, index) does where the weight is not negative; -0 becomes 0.
std::uint64_t ascending_key(float weight, std::uint32_t index) {
  return std::uint64_t{std::bit_cast<std::uint32_t>(weight + 0.0F)} << 32 | index;
}

/// Heavier first.
std::uint64_t descending_key(float weight, std::uint32_t index) {
  return std::uint64_t{~std::bit_cast<std::uint32_t>(weight + 0.0F)} << 32 | index;
}

/// Indices by weight, heaviest first; equal weights keep their order. Sorted as whole numbers, the
/// weight's bits above the index: floats that are not negative order as their bits do.
std::vector<std::uint32_t> heaviest_first(std::span<const float> weights) {
  std::vector<std::uint64_t> keys(weights.size());
  for (std::uint32_t i = 0; i < weights.size(); ++i) {
    MOESHIFT_CHECK(weights[i] >= 0);
    keys[i] = descending_key(weights[i], i);
  }
  std::sort(keys.begin(), keys.end());
  std::vector<std::uint32_t> order(weights.size());
  std::transform(keys.begin(), keys.end(), order.begin(),
                 [](std::uint64_t key) { return static_cast<std::uint32_t>(key); });
  return order;
}

/// The least of keys that change one at a time: a tree of the lesser of every two. O(log n) a
/// change, without a branch that depends on the keys.
class LeastOf {
 public:
  static constexpr std::uint64_t kNever = ~std::uint64_t{0};

  explicit LeastOf(std::span<const std::uint64_t> keys)
      : leaves_(std::bit_ceil(keys.size())), tree_(2 * leaves_, kNever) {
    std::copy(keys.begin(), keys.end(), tree_.begin() + static_cast<std::ptrdiff_t>(leaves_));
    for (std::size_t i = leaves_ - 1; i > 0; --i) tree_[i] = lesser_below(i);
  }

  [[nodiscard]] std::uint64_t least() const { return tree_[1]; }
  void change(std::size_t at, std::uint64_t key) {
    std::size_t i = leaves_ + at;
    tree_[i] = key;
    for (i /= 2; i > 0; i /= 2) tree_[i] = lesser_below(i);
  }

 private:
  [[nodiscard]] std::uint64_t lesser_below(std::size_t i) const {
    return std::min(tree_[2 * i], tree_[2 * i + 1]);
  }

  std::size_t leaves_;
  std::vector<std::uint64_t> tree_;  ///< [2 * leaves] the root at 1
};

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
  std::vector<std::uint64_t> keys;
  for (std::uint32_t p = 0; p < packs; ++p) keys.push_back(ascending_key(0, p));
  LeastOf lightest(keys);
  std::vector<float> running(packs, 0);
  Packing packing{std::vector<std::uint32_t>(weights.size()),
                  std::vector<std::uint32_t>(weights.size())};
  std::vector<std::uint32_t> items(packs, 0);
  for (const std::uint32_t item : heaviest_first(weights)) {
    const auto pack = static_cast<std::uint32_t>(lightest.least());
    packing.pack[item] = pack;
    packing.position[item] = items[pack]++;
    running[pack] += weights[item];
    lightest.change(pack,
                    items[pack] < capacity ? ascending_key(running[pack], pack) : LeastOf::kNever);
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
  std::vector<std::uint32_t> replicas(slots);
  std::iota(replicas.begin(), replicas.begin() + static_cast<std::ptrdiff_t>(weights.size()), 0U);
  std::vector<std::uint64_t> keys;
  for (std::uint32_t e = 0; e < weights.size(); ++e) keys.push_back(descending_key(weights[e], e));
  LeastOf hottest(keys);
  std::vector<std::uint32_t> counts(weights.size(), 1);
  for (std::size_t slot = weights.size(); slot < slots; ++slot) {
    const auto expert = static_cast<std::uint32_t>(hottest.least());
    replicas[slot] = expert;
    ++counts[expert];
    hottest.change(expert,
                   descending_key(weights[expert] / static_cast<float>(counts[expert]), expert));
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
