// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/peers/flashlb.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <queue>
#include <utility>

#include "moeshift/core/error.hpp"
#include "moeshift/plan/fresh/packing.hpp"
#include "moeshift/plan/relabel.hpp"

namespace moeshift {
namespace {

constexpr std::size_t kMostWindows = 64;
constexpr std::size_t kBlocks = 4;      // their depth
constexpr std::size_t kNeighbours = 8;  // their width
constexpr double kDeviations = 0.674;   // 75th percentile of the normal law

using Counts = std::vector<std::uint32_t>;

/// Loads over windows, [windows][experts], and their statistics.
struct Windows {
  std::vector<std::vector<double>> load;
  std::vector<double> mean;
  std::vector<double> covariance;  ///< [experts, experts]; empty for one window
  std::vector<double> risk;        ///< mean + kDeviations standard deviations

  [[nodiscard]] std::size_t experts() const { return mean.size(); }
};

std::vector<std::vector<double>> buckets_of(const LayerProblem& problem) {
  std::vector<std::span<const double>> windows = problem.samples;
  if (windows.empty()) windows.push_back(problem.load);
  const std::size_t count = std::min(windows.size(), kMostWindows);
  std::vector<std::vector<double>> buckets(count, std::vector<double>(problem.experts(), 0));
  for (std::size_t t = 0; t < windows.size(); ++t) {
    std::vector<double>& bucket = buckets[t * count / windows.size()];
    for (std::size_t e = 0; e < bucket.size(); ++e) bucket[e] += windows[t][e];
  }
  for (auto& bucket : buckets) {
    for (double& tokens : bucket) tokens = tokens > 0 ? tokens : 1;
  }
  return buckets;
}

Windows statistics_of(const LayerProblem& problem) {
  Windows windows{.load = buckets_of(problem), .mean = {}, .covariance = {}, .risk = {}};
  const std::size_t experts = problem.experts();
  const auto count = static_cast<double>(windows.load.size());
  windows.mean.assign(experts, 0);
  for (const auto& window : windows.load) {
    for (std::size_t e = 0; e < experts; ++e) windows.mean[e] += window[e] / count;
  }
  windows.risk = windows.mean;
  if (windows.load.size() == 1) return windows;
  windows.covariance.assign(experts * experts, 0);
  for (const auto& window : windows.load) {
    for (std::size_t a = 0; a < experts; ++a) {
      const double off = (window[a] - windows.mean[a]) / (count - 1);
      double* row = windows.covariance.data() + a * experts;
      for (std::size_t b = 0; b < experts; ++b) row[b] += off * (window[b] - windows.mean[b]);
    }
  }
  for (std::size_t e = 0; e < experts; ++e) {
    windows.risk[e] += kDeviations * std::sqrt(windows.covariance[e * experts + e]);
  }
  return windows;
}

/// Who gets the next spare replica: the largest risk per replica. Every prefix is greedy's answer
/// for that many. @return experts, at most `extras` of them.
std::vector<std::uint32_t> turns_of(const Windows& windows, std::span<const std::uint32_t> experts,
                                    std::size_t extras, std::size_t most) {
  using Entry = std::pair<double, std::int64_t>;  // risk per replica, - expert
  std::priority_queue<Entry> hottest;
  Counts counts(windows.experts(), 1);
  if (most > 1) {
    for (const std::uint32_t e : experts) hottest.emplace(windows.risk[e], -std::int64_t{e});
  }
  std::vector<std::uint32_t> turns;
  while (turns.size() < extras && !hottest.empty()) {
    const auto e = static_cast<std::uint32_t>(-hottest.top().second);
    hottest.pop();
    turns.push_back(e);
    if (++counts[e] < most) hottest.emplace(windows.risk[e] / counts[e], -std::int64_t{e});
  }
  return turns;
}

/// Largest mean per replica first, each replica to the rank of least risk that lacks the expert.
class RiskPacker {
 public:
  RiskPacker(const Windows& windows, std::size_t ranks, std::size_t k, const Counts& counts)
      : windows_(windows),
        k_(k),
        counts_(counts),
        held_(ranks),
        mean_(ranks, 0),
        variance_(ranks, 0) {}

  std::vector<std::uint32_t> pack() {
    std::vector<std::uint32_t> order(counts_.size());
    std::iota(order.begin(), order.end(), 0U);
    std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
      return windows_.mean[a] / counts_[a] > windows_.mean[b] / counts_[b];
    });
    for (const std::uint32_t e : order) {
      for (std::uint32_t copy = 0; copy < counts_[e]; ++copy) place(e);
    }
    std::vector<std::uint32_t> slots;
    for (const auto& rank : held_) slots.insert(slots.end(), rank.begin(), rank.end());
    if (clash_) make_distinct(windows_.mean, counts_, held_.size(), slots);
    return slots;
  }

 private:
  void place(std::uint32_t expert) {
    std::size_t best = held_.size();
    double least = std::numeric_limits<double>::infinity();
    double variance = 0;
    std::size_t any = held_.size();
    for (std::size_t rank = 0; rank < held_.size(); ++rank) {
      if (held_[rank].size() == k_) continue;
      any = rank;
      if (std::find(held_[rank].begin(), held_[rank].end(), expert) != held_[rank].end()) continue;
      const double spread = variance_with(rank, expert);
      const double risk = mean_[rank] + windows_.mean[expert] / counts_[expert] +
                          kDeviations * std::sqrt(std::max(0.0, spread));
      if (risk >= least) continue;
      least = risk;
      best = rank;
      variance = spread;
    }
    clash_ = clash_ || best == held_.size();
    if (best == held_.size()) {
      best = any;
      variance = variance_with(any, expert);
    }
    mean_[best] += windows_.mean[expert] / counts_[expert];
    variance_[best] = variance;
    held_[best].push_back(expert);
  }

  [[nodiscard]] double variance_with(std::size_t rank, std::uint32_t expert) const {
    if (windows_.covariance.empty()) return 0;
    const double* row = windows_.covariance.data() + expert * windows_.experts();
    double sum = row[expert] / counts_[expert];
    for (const std::uint32_t other : held_[rank]) sum += 2 * row[other] / counts_[other];
    return variance_[rank] + sum / counts_[expert];
  }

  const Windows& windows_;
  std::size_t k_;
  const Counts& counts_;
  std::vector<std::vector<std::uint32_t>> held_;
  std::vector<double> mean_;
  std::vector<double> variance_;
  bool clash_ = false;
};

/// Mean over windows of busiest rank / mean rank.
double score_of(const Windows& windows, std::span<const std::uint32_t> slots, std::size_t ranks,
                const Counts& counts) {
  const std::size_t k = slots.size() / ranks;
  double sum = 0;
  for (const auto& load : windows.load) {
    double peak = 0;
    double total = 0;
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      double mine = 0;
      for (const std::uint32_t e : slots.subspan(rank * k, k)) mine += load[e] / counts[e];
      peak = std::max(peak, mine);
      total += mine;
    }
    sum += (peak * static_cast<double>(ranks) + 1e-2) / (total + 1e-2);
  }
  return sum / static_cast<double>(windows.load.size());
}

/// A placement with its counts and score.
struct Candidate {
  Counts counts;
  std::vector<std::uint32_t> slots;
  double score = std::numeric_limits<double>::infinity();
};

class TreeSearch {
 public:
  TreeSearch(const LayerProblem& problem, const Windows& windows)
      : windows_(windows),
        ranks_(problem.ranks()),
        k_(problem.slots_per_rank),
        order_(problem.experts()),
        fixed_(problem.experts(), 1),
        left_(problem.slots() - problem.experts()) {
    std::iota(order_.begin(), order_.end(), 0U);
    std::stable_sort(order_.begin(), order_.end(), [&](std::uint32_t a, std::uint32_t b) {
      return windows.risk[a] > windows.risk[b];
    });
  }

  Candidate run() {
    const std::size_t size = (order_.size() + kBlocks - 1) / kBlocks;
    Candidate best = try_split({}, order_, 0);
    for (std::size_t block = 0; block + 1 < kBlocks && left_ > 0; ++block) {
      const std::size_t first = std::min(block * size, order_.size());
      const std::size_t next = std::min(first + size, order_.size());
      if (next == order_.size()) break;
      best = search_block(std::span(order_).subspan(first, next - first),
                          std::span(order_).subspan(next));
    }
    return best;
  }

 private:
  /// Fixes how many spare replicas `block` gets while `rest` takes what remains.
  Candidate search_block(std::span<const std::uint32_t> block,
                         std::span<const std::uint32_t> rest) {
    const std::size_t most = std::min(left_, block.size() * (ranks_ - 1));
    const std::size_t rest_most = rest.size() * (ranks_ - 1);
    const std::size_t least = left_ > rest_most ? left_ - rest_most : 0;
    const std::size_t start = std::clamp(greedy_number(block, rest), least, most);
    Candidate best = try_split(block, rest, start);
    std::size_t chosen = start;
    for (std::size_t away = 1; away <= kNeighbours; ++away) {
      for (const bool fewer : {true, false}) {
        if (fewer ? start < least + away : start + away > most) continue;
        const std::size_t number = fewer ? start - away : start + away;
        Candidate candidate = try_split(block, rest, number);
        if (candidate.score >= best.score) continue;
        best = std::move(candidate);
        chosen = number;
      }
    }
    for (const std::uint32_t e : block) fixed_[e] = best.counts[e];
    left_ -= chosen;
    return best;
  }

  /// What the block gets when greedy replication serves it and all later experts together.
  [[nodiscard]] std::size_t greedy_number(std::span<const std::uint32_t> block,
                                          std::span<const std::uint32_t> rest) const {
    std::vector<std::uint32_t> both(block.begin(), block.end());
    both.insert(both.end(), rest.begin(), rest.end());
    const auto turns = turns_of(windows_, both, left_, ranks_);
    return static_cast<std::size_t>(std::count_if(turns.begin(), turns.end(), [&](auto e) {
      return std::find(block.begin(), block.end(), e) != block.end();
    }));
  }

  [[nodiscard]] Candidate try_split(std::span<const std::uint32_t> block,
                                    std::span<const std::uint32_t> rest,
                                    std::size_t for_block) const {
    Candidate candidate;
    candidate.counts = fixed_;
    for (const auto e : turns_of(windows_, block, for_block, ranks_)) ++candidate.counts[e];
    for (const auto e : turns_of(windows_, rest, left_ - for_block, ranks_)) ++candidate.counts[e];
    candidate.slots = RiskPacker(windows_, ranks_, k_, candidate.counts).pack();
    candidate.score = score_of(windows_, candidate.slots, ranks_, candidate.counts);
    return candidate;
  }

  const Windows& windows_;
  std::size_t ranks_;
  std::size_t k_;
  std::vector<std::uint32_t> order_;  ///< experts by risk, heaviest first
  Counts fixed_;                      ///< replicas of the blocks decided, 1 for all others
  std::size_t left_;                  ///< spare replicas for the blocks to come
};

double score_of_old(const LayerProblem& problem, const Windows& windows) {
  std::vector<std::uint32_t> slots;
  Counts counts(problem.experts(), 0);
  for (const ExpertId expert : problem.kept_slots()) {
    slots.push_back(expert.value());
    ++counts[expert.index()];
  }
  return score_of(windows, slots, problem.ranks(), counts);
}

}  // namespace

LayerPlan FlashLbPlanner::plan_layer(const LayerProblem& problem) const {
  check_distinct_feasible(problem);
  const Windows windows = statistics_of(problem);
  const Candidate best = TreeSearch(problem, windows).run();
  if (problem.can_keep() && score_of_old(problem, windows) <= best.score * (1 + 1e-12)) {
    return {.slots = problem.kept_slots(), .keep = true};
  }
  LayerPlan plan;
  for (const std::uint32_t e : best.slots) plan.slots.emplace_back(e);
  relabel(problem, {.intra_node = 1, .inter_node = 1}, Exchangeable::kRanks, plan.slots);
  return plan;
}

}  // namespace moeshift
