// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/peers/swift.hpp"

#include <algorithm>
#include <numeric>
#include <queue>
#include <utility>

#include "moeshift/core/error.hpp"
#include "moeshift/plan/peers/fixed.hpp"
#include "moeshift/plan/relabel.hpp"
#include "moeshift/plan/search/window_loads.hpp"
#include "moeshift/plan/warm/adapt.hpp"

namespace moeshift {
namespace {

constexpr double kBalanced = 1.01;       // max / mean of a layer that is left alone
constexpr double kLeastSwapGain = 0.01;  // of the mean rank load
constexpr int kMostSwaps = 100;
constexpr double kWorthMoving = 0.95;  // sum of peaks after / before

/// One layer while its replicas are chosen and swapped.
class SwiftLayer {
 public:
  SwiftLayer(const LayerProblem& problem, std::span<const ExpertId> now)
      : problem_(problem),
        ranks_(problem.ranks()),
        k_(problem.slots_per_rank),
        slots_(now.size(), ExpertId::none()),
        free_(ranks_),
        home_(problem.experts(), 0),
        copies_(problem.experts(), 1),
        share_(problem.load.begin(), problem.load.end()),
        rank_load_(ranks_, 0),
        has_sent_(ranks_ * ranks_, false),
        received_(ranks_) {
    keep_first_holders(now);
  }

  std::vector<ExpertId> plan() {
    place_copies(choose_copies());
    fill_up();
    swap_down();
    return slots_;
  }

 private:
  /// The first slot of every expert, slot 0 of all ranks before slot 1, is its home; others open.
  void keep_first_holders(std::span<const ExpertId> now) {
    std::vector<bool> seen(problem_.experts(), false);
    for (std::size_t position = 0; position < k_; ++position) {
      for (std::size_t rank = 0; rank < ranks_; ++rank) {
        const std::size_t slot = rank * k_ + position;
        const ExpertId expert = now[slot];
        if (seen[expert.index()]) {
          free_[rank].push_back(slot);
          ++open_;
          continue;
        }
        seen[expert.index()] = true;
        home_[expert.index()] = rank;
        slots_[slot] = expert;
      }
    }
  }

  /// One more replica to the largest share, the higher expert on ties, until no slot is open.
  /// @return experts by share, heaviest first, once per new replica.
  std::vector<std::uint32_t> choose_copies() {
    std::priority_queue<std::pair<double, std::uint32_t>> hottest;
    for (std::uint32_t e = 0; e < share_.size(); ++e) hottest.emplace(share_[e], e);
    for (std::size_t left = open_; left > 0 && !hottest.empty(); --left) {
      const std::uint32_t e = hottest.top().second;
      hottest.pop();
      if (copies_[e] == ranks_) {
        ++left;
        continue;
      }
      ++copies_[e];
      share_[e] = problem_.load[e] / static_cast<double>(copies_[e]);
      hottest.emplace(share_[e], e);
    }
    std::vector<std::uint32_t> replicas;
    for (std::uint32_t e = 0; e < share_.size(); ++e) {
      replicas.insert(replicas.end(), copies_[e] - 1, e);
    }
    std::stable_sort(replicas.begin(), replicas.end(),
                     [&](std::uint32_t a, std::uint32_t b) { return share_[a] > share_[b]; });
    sum_ranks();
    return replicas;
  }

  void place_copies(const std::vector<std::uint32_t>& replicas) {
    for (const std::uint32_t e : replicas) {
      std::size_t best = ranks_;
      for (std::size_t rank = 0; rank < ranks_; ++rank) {
        if (free_[rank].empty() || holds(rank, e) || has_sent_[home_[e] * ranks_ + rank]) continue;
        if (best == ranks_ || rank_load_[rank] < rank_load_[best]) best = rank;
      }
      if (best == ranks_) continue;
      receive(e, best, free_[best].back());
      free_[best].pop_back();
      rank_load_[best] += share_[e];
    }
  }

  /// Slots that one expert per pair of ranks left open take the hottest expert that fits.
  void fill_up() {
    std::vector<std::size_t> holders(problem_.experts(), 0);
    bool full = true;
    for (const ExpertId expert : slots_) {
      full = full && !expert.is_none();
      if (!expert.is_none()) ++holders[expert.index()];
    }
    if (full) return;
    for (std::size_t e = 0; e < holders.size(); ++e) {
      share_[e] = problem_.load[e] / static_cast<double>(holders[e]);
    }
    for (std::size_t rank = 0; rank < ranks_; ++rank) {
      for (const std::size_t slot : free_[rank]) {
        std::size_t best = problem_.experts();
        for (std::size_t e = 0; e < problem_.experts(); ++e) {
          if (holds(rank, static_cast<std::uint32_t>(e))) continue;
          if (best == problem_.experts() || share_[e] >= share_[best]) best = e;
        }
        MOESHIFT_CHECK(best < problem_.experts());
        receive(static_cast<std::uint32_t>(best), rank, slot);
        share_[best] = problem_.load[best] / static_cast<double>(++holders[best]);
      }
    }
    sum_ranks();
  }

  void swap_down() {
    for (int swaps = 0; swaps < kMostSwaps; ++swaps) {
      std::vector<std::size_t> by_load(ranks_);
      std::iota(by_load.begin(), by_load.end(), std::size_t{0});
      std::stable_sort(by_load.begin(), by_load.end(),
                       [&](std::size_t a, std::size_t b) { return rank_load_[a] < rank_load_[b]; });
      const std::size_t hottest = by_load.back();
      by_load.pop_back();
      const bool swapped = std::any_of(by_load.begin(), by_load.end(),
                                       [&](std::size_t rank) { return swap_best(hottest, rank); });
      if (!swapped) return;
    }
  }

  /// The exchange between two ranks that leaves the heavier of them lightest, if it gains enough.
  bool swap_best(std::size_t hot, std::size_t rank) {
    if (has_sent_[hot * ranks_ + rank] || has_sent_[rank * ranks_ + hot]) return false;
    std::size_t give = slots_.size();
    std::size_t take = slots_.size();
    double least = rank_load_[hot];
    for (std::size_t i = hot * k_; i < (hot + 1) * k_; ++i) {
      if (!may_leave(hot, slots_[i], rank)) continue;
      for (std::size_t j = rank * k_; j < (rank + 1) * k_; ++j) {
        if (!may_leave(rank, slots_[j], hot)) continue;
        const double shift = share_[slots_[i].index()] - share_[slots_[j].index()];
        const double after = std::max(rank_load_[hot] - shift, rank_load_[rank] + shift);
        if (after >= least) continue;
        least = after;
        give = i;
        take = j;
      }
    }
    const double mean =
        std::accumulate(rank_load_.begin(), rank_load_.end(), 0.0) / static_cast<double>(ranks_);
    if (give == slots_.size() || rank_load_[hot] - least < kLeastSwapGain * mean) return false;
    const double shift = share_[slots_[give].index()] - share_[slots_[take].index()];
    rank_load_[hot] -= shift;
    rank_load_[rank] += shift;
    std::swap(slots_[give], slots_[take]);
    received_[hot].push_back(slots_[give]);
    received_[rank].push_back(slots_[take]);
    has_sent_[hot * ranks_ + rank] = true;
    has_sent_[rank * ranks_ + hot] = true;
    return true;
  }

  [[nodiscard]] bool may_leave(std::size_t rank, ExpertId expert, std::size_t to) const {
    const auto& fresh = received_[rank];
    return std::find(fresh.begin(), fresh.end(), expert) == fresh.end() &&
           !holds(to, expert.value());
  }

  [[nodiscard]] bool holds(std::size_t rank, std::uint32_t expert) const {
    const auto held = std::span(slots_).subspan(rank * k_, k_);
    return std::find(held.begin(), held.end(), ExpertId(expert)) != held.end();
  }

  void receive(std::uint32_t expert, std::size_t rank, std::size_t slot) {
    slots_[slot] = ExpertId(expert);
    has_sent_[home_[expert] * ranks_ + rank] = true;
    received_[rank].emplace_back(expert);
  }

  void sum_ranks() {
    std::fill(rank_load_.begin(), rank_load_.end(), 0.0);
    for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
      if (!slots_[slot].is_none()) rank_load_[slot / k_] += share_[slots_[slot].index()];
    }
  }

  const LayerProblem& problem_;
  std::size_t ranks_;
  std::size_t k_;
  std::vector<ExpertId> slots_;
  std::vector<std::vector<std::size_t>> free_;  ///< [ranks] slots that are open, ascending
  std::size_t open_ = 0;
  std::vector<std::size_t> home_;                ///< [experts] rank of the first holder, who sends
  std::vector<std::size_t> copies_;              ///< [experts] holders wanted
  std::vector<double> share_;                    ///< [experts] load of a replica
  std::vector<double> rank_load_;                ///< [ranks]
  std::vector<bool> has_sent_;                   ///< [ranks, ranks] from, to
  std::vector<std::vector<ExpertId>> received_;  ///< [ranks]
};

/// Where the experts are now, in the problem's shape.
std::vector<ExpertId> start_of(const LayerProblem& problem) {
  if (problem.can_keep()) return problem.kept_slots();
  if (problem.held.empty()) return initial_map(problem);
  std::vector<ExpertId> slots;
  for (const std::uint32_t e : adapt_old(problem, positive_load(problem.load))) {
    slots.emplace_back(e);
  }
  return slots;
}

}  // namespace

LayerPlan SwiftPlanner::plan_layer(const LayerProblem& problem) const {
  check_distinct_feasible(problem);
  const std::vector<ExpertId> now = start_of(problem);
  const double mean = std::accumulate(problem.load.begin(), problem.load.end(), 0.0) /
                      static_cast<double>(problem.ranks());
  const double before = peak_of(problem, now);
  LayerPlan unchanged{.slots = now, .keep = problem.can_keep()};
  if (before < kBalanced * mean || mean <= 0) return unchanged;
  LayerPlan plan{.slots = SwiftLayer(problem, now).plan()};
  if (peak_of(problem, plan.slots) >= before) return unchanged;
  keep_slots_in_place(problem, plan.slots);
  return plan;
}

PlanResult SwiftPlanner::plan(const PlanProblem& problem, Threads threads,
                              Progress& progress) const {
  PlanResult result = LayeredPlanner::plan(problem, threads, progress);
  const std::vector<LayerProblem> layers = layers_of(problem);
  double before = 0;
  double after = 0;
  for (const LayerProblem& layer : layers) {
    if (!layer.can_keep()) return result;
    before += peak_of(layer, layer.kept_slots());
    after += result.layers[layer.layer.index()].peak;
  }
  if (after < kWorthMoving * before) return result;
  std::vector<LayerPlan> kept;
  for (const LayerProblem& layer : layers)
    kept.push_back({.slots = layer.kept_slots(), .keep = true});
  return assemble(problem, std::move(kept), threads);
}

}  // namespace moeshift
