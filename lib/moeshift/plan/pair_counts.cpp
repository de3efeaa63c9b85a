// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/pair_counts.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "moeshift/core/error.hpp"
#include "moeshift/core/rng.hpp"
#include "moeshift/plan/packing.hpp"

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

/// A member of a heavy pair: the heaviest of six random pairs.
std::uint32_t pick_receiver(const SortedShares& shares, Rng& rng) {
  const auto pairs = static_cast<std::uint32_t>(shares.pairs());
  std::uint32_t best = rng.below(pairs);
  for (int i = 1; i < 6; ++i) {
    const std::uint32_t pair = rng.below(pairs);
    if (shares.pair(pair) > shares.pair(best)) best = pair;
  }
  return rng.below(2) == 0 ? shares.heavy_of(best) : shares.light_of(best);
}

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

PairCounts back_towards(std::span<const double> load, std::span<const std::uint32_t> old,
                        PairCounts pairs, double peak) {
  SortedShares shares(load, std::move(pairs.counts));
  for (std::uint32_t more = 0; more < load.size(); ++more) {
    for (std::uint32_t less = 0; less < load.size(); ++less) {
      if (shares.counts()[more] <= old[more]) break;
      if (shares.counts()[less] >= old[less]) continue;
      shares.move_replica(more, less);
      if (shares.peak() > peak) shares.move_replica(less, more);
    }
  }
  return {shares.counts(), shares.peak()};
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
