// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/pair_chains.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "moeshift/core/error.hpp"
#include "moeshift/plan/apportion.hpp"
#include "moeshift/plan/pair_counts.hpp"

namespace moeshift {
namespace {

constexpr std::uint32_t kFree = std::numeric_limits<std::uint32_t>::max();

/// Counts as near the old ones as the slack allows.
PairCounts better_counts(std::span<const double> load, std::span<const std::uint32_t> old,
                         const PairChainOptions& options) {
  const std::size_t ranks = old.size() / 2;
  std::vector<std::uint32_t> counts(load.size(), 0);
  for (const std::uint32_t e : old) ++counts[e];
  PairCounts near =
      anneal_pair_counts(load, ranks, counts, options.bound, options.iterations, options.seed);
  PairCounts fresh = anneal_pair_counts(load, ranks, adams_counts(load, old.size(), ranks),
                                        options.bound, options.iterations, options.seed);
  const double peak = std::min(near.peak, fresh.peak) * (1 + options.slack);
  const bool near_enough = near.peak <= peak;
  return back_towards(load, counts, near_enough ? std::move(near) : std::move(fresh), peak);
}

/// One attempt to reach a target from the old placement.
class Rearrangement {
 public:
  Rearrangement(std::span<const double> load, std::span<const std::uint32_t> old,
                std::span<const std::uint32_t> counts, double target)
      : counts_(counts),
        target_(target),
        slot_(old.begin(), old.end()),
        touched_(old.size() / 2, false),
        share_(load.size()) {
    for (std::size_t e = 0; e < load.size(); ++e) share_[e] = load[e] / counts[e];
  }

  /// False when the target is out of reach.
  bool run() {
    std::vector<std::uint32_t> missing(counts_.begin(), counts_.end());
    drop_surplus(missing);
    lighten(missing);
    std::vector<std::uint32_t> pool;
    for (std::uint32_t e = 0; e < missing.size(); ++e) pool.insert(pool.end(), missing[e], e);
    by_share(pool);
    while (!fits(pool)) {
      if (!eject_for(pool)) return false;
    }
    return true;
  }

  [[nodiscard]] std::vector<std::uint32_t> take() { return std::move(slot_); }

 private:
  [[nodiscard]] double share_of(std::uint32_t expert) const {
    return expert == kFree ? 0 : share_[expert];
  }
  [[nodiscard]] double load_of(std::size_t rank) const {
    return share_of(slot_[2 * rank]) + share_of(slot_[2 * rank + 1]);
  }
  [[nodiscard]] std::size_t free_slots(std::size_t rank) const {
    return (slot_[2 * rank] == kFree ? 1U : 0U) + (slot_[2 * rank + 1] == kFree ? 1U : 0U);
  }
  void by_share(std::vector<std::uint32_t>& experts) const {
    std::sort(experts.begin(), experts.end(), [&](std::uint32_t a, std::uint32_t b) {
      return share_[a] != share_[b] ? share_[a] > share_[b] : a < b;
    });
  }

  /// Replicas past an expert's count go, from its fullest ranks; `missing` comes to hold what is
  /// still to be placed.
  void drop_surplus(std::vector<std::uint32_t>& missing) {
    std::vector<std::vector<std::size_t>> held(share_.size());
    for (std::size_t slot = 0; slot < slot_.size(); ++slot) held[slot_[slot]].push_back(slot);
    for (std::uint32_t e = 0; e < held.size(); ++e) {
      auto& slots = held[e];
      std::stable_sort(slots.begin(), slots.end(), [&](std::size_t a, std::size_t b) {
        return load_of(a / 2) > load_of(b / 2);
      });
      const std::size_t surplus = slots.size() - std::min<std::size_t>(slots.size(), counts_[e]);
      for (std::size_t i = 0; i < surplus; ++i) slot_[slots[i]] = kFree;
      missing[e] -= static_cast<std::uint32_t>(slots.size() - surplus);
    }
  }

  /// Ranks above the target lose their lighter replica: it finds another place more easily.
  void lighten(std::vector<std::uint32_t>& missing) {
    for (std::size_t rank = 0; rank < touched_.size(); ++rank) {
      if (load_of(rank) <= target_) continue;
      const bool first = share_of(slot_[2 * rank]) <= share_of(slot_[2 * rank + 1]);
      const std::size_t lighter = 2 * rank + (first ? 0 : 1);
      ++missing[slot_[lighter]];
      slot_[lighter] = kFree;
    }
  }

  /// Puts the pool, heaviest first, on the ranks with most room. Else undoes that, and `misfit_` is
  /// the first that found no rank.
  bool fits(const std::vector<std::uint32_t>& pool) {
    const std::vector<std::uint32_t> before = slot_;
    for (std::size_t i = 0; i < pool.size(); ++i) {
      const std::size_t rank = best_room(pool[i]);
      if (rank == touched_.size()) {
        misfit_ = i;
        slot_ = before;
        return false;
      }
      const std::size_t slot = 2 * rank;
      slot_[slot_[slot] == kFree ? slot : slot + 1] = pool[i];
    }
    return true;
  }

  /// Empty ranks first, then the fullest rank that still has the room: what is lighter will find
  /// some elsewhere.
  [[nodiscard]] std::size_t best_room(std::uint32_t expert) const {
    std::size_t best = touched_.size();
    double most = -1;
    for (std::size_t rank = 0; rank < touched_.size(); ++rank) {
      const std::size_t free = free_slots(rank);
      if (free == 0) continue;
      if (free == 2) return rank;
      const double load = load_of(rank);
      if (load + share_[expert] > target_ || load <= most) continue;
      if (slot_[2 * rank] == expert || slot_[2 * rank + 1] == expert) continue;
      best = rank;
      most = load;
    }
    return best;
  }

  /// The misfit takes the place of the lightest replica that makes room for it on a full rank not
  /// yet touched; that one joins the pool.
  bool eject_for(std::vector<std::uint32_t>& pool) {
    const std::uint32_t misfit = pool[misfit_];
    std::size_t best = slot_.size();
    double least = share_[misfit];
    for (std::size_t slot = 0; slot < slot_.size(); ++slot) {
      const std::size_t rank = slot / 2;
      if (touched_[rank] || free_slots(rank) > 0) continue;
      const std::uint32_t kept = slot_[slot ^ 1U];
      if (kept == misfit || slot_[slot] == misfit) continue;
      if (share_[kept] + share_[misfit] > target_ || share_[slot_[slot]] >= least) continue;
      best = slot;
      least = share_[slot_[slot]];
    }
    if (best == slot_.size()) return false;
    pool[misfit_] = slot_[best];
    slot_[best] = misfit;
    touched_[best / 2] = true;
    by_share(pool);
    return true;
  }

  std::span<const std::uint32_t> counts_;
  double target_;
  std::vector<std::uint32_t> slot_;  ///< [2 * ranks] an expert or kFree
  std::vector<bool> touched_;        ///< [ranks]
  std::vector<double> share_;        ///< [experts]
  std::size_t misfit_ = 0;
};

}  // namespace

std::vector<std::uint32_t> rearrange_pairs(std::span<const double> load,
                                           std::span<const std::uint32_t> old,
                                           const PairChainOptions& options) {
  MOESHIFT_CHECK(old.size() % 2 == 0);
  const PairCounts counts = better_counts(load, old, options);
  constexpr double kGrowth = 1.004;
  constexpr int kMostAttempts = 64;
  double target = counts.peak * (1 + options.room);
  for (int attempt = 0; attempt < kMostAttempts; ++attempt, target *= kGrowth) {
    Rearrangement rearrangement(load, old, counts.counts, target);
    if (rearrangement.run()) return rearrangement.take();
  }
  return fold_pairs(load, counts.counts);
}

}  // namespace moeshift
