// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/fresh/pair_counts.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "moeshift/core/error.hpp"
#include "moeshift/core/rng.hpp"
#include "moeshift/plan/fresh/packing.hpp"

namespace moeshift {
namespace {

/// Replica loads kept sorted while counts change.
class SortedShares {
 public:
  SortedShares(std::span<const double> load, std::vector<std::uint32_t> counts)
      : load_(load), counts_(std::move(counts)) {
    for (std::uint32_t e = 0; e < load.size(); ++e) {
      shares_.insert(shares_.end(), counts_[e], Share{load[e] / counts_[e], e});
    }
    std::sort(shares_.begin(), shares_.end());
  }

  [[nodiscard]] const std::vector<std::uint32_t>& counts() const { return counts_; }
  [[nodiscard]] std::size_t pairs() const { return shares_.size() / 2; }
  [[nodiscard]] double pair(std::size_t i) const {
    return shares_[i].load + shares_[shares_.size() - 1 - i].load;
  }
  [[nodiscard]] std::uint32_t heavy_of(std::size_t i) const {
    return shares_[shares_.size() - 1 - i].expert;
  }
  [[nodiscard]] std::uint32_t light_of(std::size_t i) const { return shares_[i].expert; }
  [[nodiscard]] double peak() const {
    double peak = 0;
    for (std::size_t i = 0; i < pairs(); ++i) peak = std::max(peak, pair(i));
    return peak;
  }
  [[nodiscard]] double excess(double target) const {
    double sum = 0;
    const std::size_t last = shares_.size() - 1;
    for (std::size_t i = 0; i < pairs(); ++i) {
      const double over = std::max(0.0, shares_[i].load + shares_[last - i].load - target);
      sum += over * over;
    }
    return sum;
  }
  void move_replica(std::uint32_t from, std::uint32_t to) {
    resize(from, counts_[from] - 1);
    resize(to, counts_[to] + 1);
  }

 private:
  struct Share {
    double load;
    std::uint32_t expert;
    bool operator<(const Share& other) const {
      return load != other.load ? load < other.load : expert < other.expert;
    }
  };

  void resize(std::uint32_t expert, std::uint32_t count) {
    const Share before{load_[expert] / counts_[expert], expert};
    const auto first = std::lower_bound(shares_.begin(), shares_.end(), before);
    shares_.erase(first, first + counts_[expert]);
    counts_[expert] = count;
    const Share after{load_[expert] / count, expert};
    shares_.insert(std::lower_bound(shares_.begin(), shares_.end(), after), count, after);
  }

  std::span<const double> load_;
  std::vector<std::uint32_t> counts_;
  std::vector<Share> shares_;
};

/// A random expert with a replica to spare, by slot; experts with many are likelier.
std::uint32_t pick_donor(const SortedShares& shares, Rng& rng) {
  const auto slots = static_cast<std::uint32_t>(shares.pairs() * 2);
  for (int tries = 0; tries < 1000; ++tries) {
    const std::uint32_t i = rng.below(slots);
    const std::uint32_t expert =
        i < shares.pairs() ? shares.light_of(i) : shares.heavy_of(slots - 1 - i);
    if (shares.counts()[expert] >= 2) return expert;
  }
  const auto found = std::find_if(shares.counts().begin(), shares.counts().end(),
                                  [](std::uint32_t count) { return count >= 2; });
  return static_cast<std::uint32_t>(found - shares.counts().begin());
}

/// The heaviest of six random ones.
template <class LoadOf>
std::uint32_t pick_heavy(std::size_t count, const LoadOf& load_of, Rng& rng) {
  const auto below = static_cast<std::uint32_t>(count);
  std::uint32_t best = rng.below(below);
  for (int i = 1; i < 6; ++i) {
    const std::uint32_t other = rng.below(below);
    if (load_of(other) > load_of(best)) best = other;
  }
  return best;
}

/// A member of a heavy pair.
std::uint32_t pick_receiver(const SortedShares& shares, Rng& rng) {
  const std::uint32_t best =
      pick_heavy(shares.pairs(), [&](std::size_t i) { return shares.pair(i); }, rng);
  return rng.below(2) == 0 ? shares.heavy_of(best) : shares.light_of(best);
}

/// The pairs of an old placement under changing counts, and what these make them give away.
class OldPairs {
 public:
  OldPairs(std::span<const double> load, std::span<const std::uint32_t> old, double target)
      : load_(load),
        old_(old),
        target_(target),
        old_counts_(load.size(), 0),
        ranks_of_(load.size()),
        rank_load_(old.size() / 2, 0) {
    for (std::size_t slot = 0; slot < old.size(); ++slot) {
      ++old_counts_[old[slot]];
      ranks_of_[old[slot]].push_back(slot / 2);
    }
    counts_ = old_counts_;
    for (std::size_t slot = 0; slot < old.size(); ++slot) {
      rank_load_[slot / 2] += load[old[slot]] / counts_[old[slot]];
    }
    const double total = std::accumulate(load.begin(), load.end(), 0.0);
    mean_ = total / static_cast<double>(rank_load_.size());
  }

  [[nodiscard]] const std::vector<std::uint32_t>& counts() const { return counts_; }
  [[nodiscard]] double mean() const { return mean_; }
  /// Transfers, estimated.
  [[nodiscard]] double moves() const {
    double sum = 0;
    for (const double rank : rank_load_) sum += moves_of(rank);
    for (std::size_t e = 0; e < load_.size(); ++e) sum += further(e);
    return sum;
  }
  /// @return by how many more transfers.
  double move_replica(std::uint32_t from, std::uint32_t to) {
    return resize(from, counts_[from] - 1) + resize(to, counts_[to] + 1);
  }
  /// An expert of a heavy rank.
  [[nodiscard]] std::uint32_t pick(Rng& rng) const {
    return old_[pick_heavy(
        old_.size(), [this](std::size_t slot) { return rank_load_[slot / 2]; }, rng)];
  }

 private:
  /// What is left over somewhere has to find room: about one more exchange per 0.3 of the mean.
  [[nodiscard]] double moves_of(double rank) const {
    return rank <= target_ ? 0 : 1 + (rank - target_) / (0.3 * mean_);
  }
  [[nodiscard]] double further(std::size_t expert) const {
    return counts_[expert] > old_counts_[expert] ? counts_[expert] - old_counts_[expert] : 0;
  }
  double resize(std::uint32_t expert, std::uint32_t count) {
    const double more = load_[expert] / count - load_[expert] / counts_[expert];
    double change = -further(expert);
    counts_[expert] = count;
    change += further(expert);
    for (const std::size_t rank : ranks_of_[expert]) {
      change -= moves_of(rank_load_[rank]);
      rank_load_[rank] += more;
      change += moves_of(rank_load_[rank]);
    }
    return change;
  }

  std::span<const double> load_;
  std::span<const std::uint32_t> old_;
  double target_;
  double mean_ = 0;
  std::vector<std::uint32_t> old_counts_;
  std::vector<std::uint32_t> counts_;
  std::vector<std::vector<std::size_t>> ranks_of_;  ///< [experts] who holds it
  std::vector<double> rank_load_;
};

}  // namespace

PairCounts anneal_pair_counts(std::span<const double> load, std::size_t ranks,
                              std::vector<std::uint32_t> start, double bound,
                              std::size_t iterations, std::uint64_t seed) {
  SortedShares shares(load, std::move(start));
  MOESHIFT_CHECK(shares.pairs() == ranks);
  PairCounts best{shares.counts(), shares.peak()};
  if (shares.pairs() * 2 == load.size()) return best;
  double mean = 0;
  for (const double tokens : load) mean += tokens / static_cast<double>(ranks);
  Rng rng(seed);
  // Always a little below the best so far: far below, Phi would not see the peak.
  double target = std::max(bound, 0.985 * best.peak);
  double excess = shares.excess(target);
  for (std::size_t i = 0; i < iterations && best.peak > bound; ++i) {
    const std::uint32_t from = pick_donor(shares, rng);
    const std::uint32_t to = pick_receiver(shares, rng);
    if (from == to || shares.counts()[to] >= ranks) continue;
    shares.move_replica(from, to);
    const double after = shares.excess(target);
    const double heat = 0.002 * mean * mean *
                        std::pow(1e-3, static_cast<double>(i) / static_cast<double>(iterations));
    if (after <= excess || rng.uniform() < std::exp((excess - after) / heat)) {
      excess = after;
      const double peak = shares.peak();
      if (peak >= best.peak) continue;
      best = {shares.counts(), peak};
      target = std::max(bound, 0.985 * best.peak);
      excess = shares.excess(target);
    } else {
      shares.move_replica(to, from);
    }
  }
  return best;
}

std::vector<std::uint32_t> anneal_near_counts(std::span<const double> load,
                                              std::span<const std::uint32_t> old,
                                              const NearTargets& targets, std::size_t iterations,
                                              std::uint64_t seed) {
  OldPairs pairs(load, old, targets.rank);
  SortedShares shares(load, pairs.counts());
  // One pair a hundredth of the mean above its target weighs as much as ten transfers.
  constexpr double kExcessWeight = 1e5;
  const double weight = kExcessWeight / (pairs.mean() * pairs.mean());
  std::vector<std::uint32_t> best = shares.counts();
  if (old.size() == load.size()) return best;
  double excess = weight * shares.excess(targets.fold);
  double moves = pairs.moves();
  double least = excess + moves;
  Rng rng(seed);
  for (std::size_t i = 0; i < iterations && least > 0; ++i) {
    const std::uint32_t from = pick_donor(shares, rng);
    const std::uint32_t to = rng.below(2) == 0 ? pick_receiver(shares, rng) : pairs.pick(rng);
    if (from == to || shares.counts()[to] >= shares.pairs()) continue;
    const double heat =
        0.5 * std::pow(0.04, static_cast<double>(i) / static_cast<double>(iterations));
    const double most = excess + moves - heat * std::log(1 - rng.uniform());
    moves += pairs.move_replica(from, to);
    // Folding anew costs most of a step, and need not be done for what is too dear without.
    if (moves <= most) {
      shares.move_replica(from, to);
      const double after = weight * shares.excess(targets.fold);
      if (after + moves <= most) {
        excess = after;
        if (excess + moves >= least) continue;
        least = excess + moves;
        best = shares.counts();
        continue;
      }
      shares.move_replica(to, from);
    }
    moves += pairs.move_replica(to, from);
  }
  return best;
}

std::vector<std::uint32_t> fold_pairs(std::span<const double> load,
                                      std::span<const std::uint32_t> counts) {
  const SortedShares shares(load, {counts.begin(), counts.end()});
  std::vector<std::uint32_t> experts;
  for (std::size_t i = 0; i < shares.pairs(); ++i) {
    experts.push_back(shares.heavy_of(i));
    experts.push_back(shares.light_of(i));
  }
  std::vector<std::uint32_t> copies(counts.begin(), counts.end());
  make_distinct(load, copies, shares.pairs(), experts);
  return experts;
}

}  // namespace moeshift
