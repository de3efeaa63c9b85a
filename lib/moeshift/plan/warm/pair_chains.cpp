// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/warm/pair_chains.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "moeshift/core/error.hpp"
#include "moeshift/plan/fresh/apportion.hpp"
#include "moeshift/plan/fresh/pair_counts.hpp"

namespace moeshift {
namespace {

constexpr std::uint32_t kFree = std::numeric_limits<std::uint32_t>::max();

/// The expert, put into the slot, is new on the slot's rank.
bool arrives(std::span<const std::uint32_t> old, std::size_t slot, std::uint32_t expert) {
  return old[slot] != expert && old[slot ^ 1U] != expert;
}

double arrivals(std::span<const std::uint32_t> old, std::span<const std::uint32_t> placed) {
  double count = 0;
  for (std::size_t slot = 0; slot < old.size(); ++slot) {
    count += arrives(old, slot, placed[slot]) ? 1 : 0;
  }
  return count;
}

/// One attempt to reach a target from the old placement.
class ChainRearrangement {
 public:
  ChainRearrangement(std::span<const double> load, std::span<const std::uint32_t> old,
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
    if (*std::max_element(share_.begin(), share_.end()) > target_) return false;
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
  [[nodiscard]] std::size_t free_slot(std::size_t rank) const {
    return slot_[2 * rank] == kFree ? 2 * rank : 2 * rank + 1;
  }
  /// What is on a rank with one free slot.
  [[nodiscard]] std::uint32_t kept_on(std::size_t rank) const {
    return slot_[free_slot(rank) ^ 1U];
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

  /// Puts the pool, heaviest first, on the emptiest ranks: if anything fits, this does, and it
  /// leaves most room everywhere for loads to change. Else undoes that, and `misfit_` is the first
  /// that found no rank.
  bool fits(const std::vector<std::uint32_t>& pool) {
    const std::vector<std::uint32_t> before = slot_;
    std::size_t next = 0;
    std::vector<std::size_t> open;
    for (std::size_t rank = 0; rank < touched_.size(); ++rank) {
      const std::size_t free = free_slots(rank);
      if (free == 2) slot_[2 * rank] = pool[next++];
      if (free > 0) open.push_back(rank);
    }
    std::stable_sort(open.begin(), open.end(),
                     [&](std::size_t a, std::size_t b) { return load_of(a) < load_of(b); });
    for (misfit_ = next; misfit_ < pool.size(); ++misfit_) {
      const auto rank = std::find_if(open.begin(), open.end(),
                                     [&](std::size_t r) { return kept_on(r) != pool[misfit_]; });
      if (rank == open.end() || load_of(*rank) + share_[pool[misfit_]] > target_) {
        slot_ = before;
        return false;
      }
      slot_[free_slot(*rank)] = pool[misfit_];
      open.erase(rank);
    }
    return true;
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

/// Takes back what the chains need not have moved, as long as no rank rises above the target.
class Settling {
 public:
  Settling(std::span<const double> load, std::span<const std::uint32_t> old,
           std::vector<std::uint32_t> placed, double target)
      : load_(load), old_(old), target_(target), slot_(std::move(placed)), count_(load.size()) {
    for (const std::uint32_t e : slot_) ++count_[e];
  }

  [[nodiscard]] std::vector<std::uint32_t> run() {
    while (take_back_one() || swap_one()) {
    }
    return std::move(slot_);
  }

 private:
  [[nodiscard]] double share(std::uint32_t e) const { return load_[e] / count_[e]; }
  [[nodiscard]] double rank_load(std::size_t slot) const {
    return share(slot_[slot]) + share(slot_[slot ^ 1U]);
  }

  /// An arrival gives its slot back to an expert that was on the rank before: two counts change.
  bool take_back_one() {
    for (std::size_t slot = 0; slot < slot_.size(); ++slot) {
      const std::uint32_t now = slot_[slot];
      if (!arrives(old_, slot, now) || count_[now] < 2) continue;
      for (const std::uint32_t back : {old_[slot], old_[slot ^ 1U]}) {
        if (slot_[slot ^ 1U] == back) continue;
        change(slot, back);
        if (holders_fit(now) && rank_load(slot) <= target_) return true;
        change(slot, now);
      }
    }
    return false;
  }

  void change(std::size_t slot, std::uint32_t e) {
    --count_[slot_[slot]];
    slot_[slot] = e;
    ++count_[e];
  }

  [[nodiscard]] bool holders_fit(std::uint32_t e) const {
    for (std::size_t slot = 0; slot < slot_.size(); ++slot) {
      if (slot_[slot] == e && rank_load(slot) > target_) return false;
    }
    return true;
  }

  /// Two replicas exchange ranks, and fewer of them are new where they are.
  bool swap_one() {
    for (std::size_t a = 0; a < slot_.size(); ++a) {
      if (!arrives(old_, a, slot_[a])) continue;
      for (std::size_t b = 0; b < slot_.size(); ++b) {
        if (a / 2 != b / 2 && swap(a, b)) return true;
      }
    }
    return false;
  }

  bool swap(std::size_t a, std::size_t b) {
    const std::uint32_t x = slot_[a];
    const std::uint32_t y = slot_[b];
    const int before = 1 + (arrives(old_, b, y) ? 1 : 0);
    if ((arrives(old_, a, y) ? 1 : 0) + (arrives(old_, b, x) ? 1 : 0) >= before) return false;
    if (slot_[a ^ 1U] == y || slot_[b ^ 1U] == x) return false;
    std::swap(slot_[a], slot_[b]);
    if (rank_load(a) <= target_ && rank_load(b) <= target_) return true;
    std::swap(slot_[a], slot_[b]);
    return false;
  }

  std::span<const double> load_;
  std::span<const std::uint32_t> old_;
  double target_;
  std::vector<std::uint32_t> slot_;   ///< [2 * ranks] the expert
  std::vector<std::uint32_t> count_;  ///< [experts]
};

}  // namespace

std::vector<std::uint32_t> rearrange_pairs(std::span<const double> load,
                                           std::span<const std::uint32_t> old,
                                           const PairChainOptions& options) {
  MOESHIFT_CHECK(old.size() % 2 == 0);
  const std::size_t ranks = old.size() / 2;
  const double mean = std::accumulate(load.begin(), load.end(), 0.0) / static_cast<double>(ranks);
  const PairCounts fresh = anneal_pair_counts(load, ranks, adams_counts(load, old.size(), ranks),
                                              options.bound, options.iterations, options.seed);
  NearTargets targets{.fold = fresh.peak * (1 + options.slack),
                      .rank = fresh.peak * (1 + options.room)};
  std::vector<std::uint32_t> best;
  double least = std::numeric_limits<double>::infinity();
  constexpr double kGrowth = 1.01;
  constexpr int kMostAttempts = 64;
  // Then again, near the target that has turned out to be worth while.
  for (std::uint64_t round = 0; round < 3; ++round) {
    const std::vector<std::uint32_t> counts =
        anneal_near_counts(load, old, targets, options.near_iterations, options.seed + round);
    double target = targets.fold;
    for (int i = 0; i < kMostAttempts && target / mean < least; ++i, target *= kGrowth) {
      ChainRearrangement attempt(load, old, counts, target);
      if (!attempt.run()) continue;
      std::vector<std::uint32_t> placed = Settling(load, old, attempt.take(), target).run();
      const double value = target / mean + options.price * arrivals(old, placed);
      if (value >= least) continue;
      least = value;
      targets.rank = target;
      best = std::move(placed);
    }
  }
  return best.empty() ? fold_pairs(load, fresh.counts) : best;
}

std::vector<std::uint32_t> settle_pairs(std::span<const double> load,
                                        std::span<const std::uint32_t> old,
                                        std::vector<std::uint32_t> placed, double target) {
  return Settling(load, old, std::move(placed), target).run();
}

}  // namespace moeshift
