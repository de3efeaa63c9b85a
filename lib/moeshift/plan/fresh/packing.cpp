// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/fresh/packing.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <queue>
#include <utility>

#include "moeshift/core/error.hpp"
#include "moeshift/plan/fresh/rank_packing.hpp"

namespace moeshift {
namespace {

/// Experts by load per replica, heaviest first; ties to the lower expert.
std::vector<std::uint32_t> by_share(std::span<const double> load,
                                    std::span<const std::uint32_t> counts) {
  std::vector<double> shares(load.size());
  for (std::size_t e = 0; e < load.size(); ++e) shares[e] = load[e] / counts[e];
  std::vector<std::uint32_t> order(load.size());
  std::iota(order.begin(), order.end(), 0U);
  std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return shares[a] != shares[b] ? shares[a] > shares[b] : a < b;
  });
  return order;
}

/// Deals the replicas out expert by expert: consecutive replicas land on consecutive ranks, and no
/// expert has more replicas than there are ranks.
std::vector<std::uint32_t> deal_out(std::span<const std::uint32_t> order,
                                    std::span<const std::uint32_t> counts, std::size_t ranks) {
  const std::size_t slots = std::accumulate(counts.begin(), counts.end(), std::size_t{0});
  std::vector<std::uint32_t> experts(slots);
  std::size_t next = 0;
  for (const std::uint32_t e : order) {
    for (std::uint32_t copy = 0; copy < counts[e]; ++copy, ++next) {
      experts[next % ranks * (slots / ranks) + next / ranks] = e;
    }
  }
  return experts;
}

bool rank_holds(std::span<const std::uint32_t> experts, std::size_t slots_per_rank,
                std::size_t rank, std::uint32_t expert) {
  const auto held = experts.subspan(rank * slots_per_rank, slots_per_rank);
  return std::find(held.begin(), held.end(), expert) != held.end();
}

/// The slot to exchange `slot` with so that both ranks gain distinctness, nearest in load.
std::size_t repair_partner(std::span<const double> load, std::span<const std::uint32_t> counts,
                           std::span<const std::uint32_t> experts, std::size_t slots_per_rank,
                           std::size_t slot) {
  const std::size_t rank = slot / slots_per_rank;
  const std::uint32_t expert = experts[slot];
  std::size_t best = experts.size();
  double best_distance = std::numeric_limits<double>::infinity();
  for (std::size_t other = 0; other < experts.size(); ++other) {
    const std::size_t other_rank = other / slots_per_rank;
    if (other_rank == rank) continue;
    const std::uint32_t candidate = experts[other];
    const double distance =
        std::abs(load[expert] / counts[expert] - load[candidate] / counts[candidate]);
    if (distance >= best_distance) continue;
    if (rank_holds(experts, slots_per_rank, other_rank, expert)) continue;
    if (rank_holds(experts, slots_per_rank, rank, candidate)) continue;
    best = other;
    best_distance = distance;
  }
  return best;
}

/// One bin of a tuple: its load, and its replicas as a chain.
struct Bin {
  double load = 0;
  std::uint32_t first = 0;
  std::uint32_t last = 0;
};

/// One tuple of BLDM: bins by load, heaviest first.
struct Tuple {
  std::vector<Bin> bins;

  [[nodiscard]] double spread() const { return bins.front().load - bins.back().load; }
  void sort() {
    std::sort(bins.begin(), bins.end(), [](const Bin& a, const Bin& b) {
      return a.load != b.load ? a.load > b.load : a.first < b.first;
    });
  }
};

/// Replicas 0 .. n-1 in descending load, as k tuples of `ranks`.
std::vector<Tuple> tuples_of(std::span<const double> shares, std::size_t ranks) {
  std::vector<Tuple> tuples(shares.size() / ranks);
  for (std::size_t i = 0; i < shares.size(); ++i) {
    const auto replica = static_cast<std::uint32_t>(i);
    tuples[i / ranks].bins.push_back({shares[i], replica, replica});
  }
  return tuples;
}

/// Merges `light` into `heavy`, heaviest bin onto lightest bin; `next` chains the replicas.
void merge(Tuple& heavy, const Tuple& light, std::vector<std::uint32_t>& next) {
  const std::size_t bins = heavy.bins.size();
  for (std::size_t i = 0; i < bins; ++i) {
    Bin& into = heavy.bins[i];
    const Bin& from = light.bins[bins - 1 - i];
    next[into.last] = from.first;
    into.last = from.last;
    into.load += from.load;
  }
  heavy.sort();
}

Tuple difference(std::vector<Tuple> tuples, std::vector<std::uint32_t>& next) {
  while (tuples.size() > 1) {
    std::size_t widest = 0;
    for (std::size_t i = 1; i < tuples.size(); ++i) {
      if (tuples[i].spread() > tuples[widest].spread()) widest = i;
    }
    std::swap(tuples[widest], tuples.back());
    Tuple merged = std::move(tuples.back());
    tuples.pop_back();
    std::size_t second = 0;
    for (std::size_t i = 1; i < tuples.size(); ++i) {
      if (tuples[i].spread() > tuples[second].spread()) second = i;
    }
    merge(merged, tuples[second], next);
    tuples[second] = std::move(merged);
  }
  return std::move(tuples.front());
}

}  // namespace

std::vector<std::uint32_t> pack_largest_first_distinct(std::span<const double> load,
                                                       std::span<const std::uint32_t> counts,
                                                       std::size_t ranks) {
  const std::size_t slots = std::accumulate(counts.begin(), counts.end(), std::size_t{0});
  const std::size_t slots_per_rank = slots / ranks;
  using Entry = std::pair<double, std::uint32_t>;  // load, rank
  std::vector<Entry> empty;
  for (std::uint32_t rank = 0; rank < ranks; ++rank) empty.emplace_back(0.0, rank);
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> lightest(std::greater<>{},
                                                                          std::move(empty));
  std::vector<std::uint32_t> experts(slots);
  std::vector<std::size_t> filled(ranks, 0);
  std::vector<Entry> chosen;
  const std::vector<std::uint32_t> order = by_share(load, counts);
  for (const std::uint32_t e : order) {
    chosen.clear();
    if (lightest.size() < counts[e]) break;
    for (std::uint32_t copy = 0; copy < counts[e]; ++copy) {
      chosen.push_back(lightest.top());
      lightest.pop();
    }
    for (const auto& [rank_load, rank] : chosen) {
      experts[rank * slots_per_rank + filled[rank]++] = e;
      if (filled[rank] < slots_per_rank) lightest.emplace(rank_load + load[e] / counts[e], rank);
    }
  }
  const std::size_t placed = std::accumulate(filled.begin(), filled.end(), std::size_t{0});
  if (placed == slots) return experts;
  // Too few ranks had room for the replicas of one expert: fill up as it comes, then repair.
  std::vector<std::uint32_t> left(counts.begin(), counts.end());
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    for (std::size_t i = 0; i < filled[rank]; ++i) --left[experts[rank * slots_per_rank + i]];
  }
  std::size_t rank = 0;
  for (const std::uint32_t e : order) {
    for (; left[e] > 0; --left[e]) {
      while (filled[rank] == slots_per_rank) ++rank;
      experts[rank * slots_per_rank + filled[rank]++] = e;
    }
  }
  make_distinct(load, counts, ranks, experts);
  return experts;
}

std::vector<std::uint32_t> pack_by_differencing(std::span<const double> load,
                                                std::span<const std::uint32_t> counts,
                                                std::size_t ranks) {
  std::vector<std::uint32_t> replicas;
  std::vector<double> shares;
  for (const std::uint32_t e : by_share(load, counts)) {
    replicas.insert(replicas.end(), counts[e], e);
    shares.insert(shares.end(), counts[e], load[e] / counts[e]);
  }
  std::vector<std::uint32_t> next(replicas.size());
  const Tuple packed = difference(tuples_of(shares, ranks), next);
  std::vector<std::uint32_t> experts;
  experts.reserve(replicas.size());
  for (const Bin& bin : packed.bins) {
    for (std::uint32_t i = bin.first;; i = next[i]) {
      experts.push_back(replicas[i]);
      if (i == bin.last) break;
    }
  }
  make_distinct(load, counts, ranks, experts);
  return experts;
}

void make_distinct(std::span<const double> load, std::span<const std::uint32_t> counts,
                   std::size_t ranks, std::vector<std::uint32_t>& experts) {
  const std::size_t slots_per_rank = experts.size() / ranks;
  for (std::size_t slot = 0; slot < experts.size(); ++slot) {
    const std::size_t first = slot / slots_per_rank * slots_per_rank;
    const auto before = std::span(experts).subspan(first, slot - first);
    if (std::find(before.begin(), before.end(), experts[slot]) == before.end()) continue;
    const std::size_t partner = repair_partner(load, counts, experts, slots_per_rank, slot);
    if (partner == experts.size()) break;
    std::swap(experts[slot], experts[partner]);
  }
  if (distinct(experts, slots_per_rank)) return;
  experts = deal_out(by_share(load, counts), counts, ranks);
  MOESHIFT_CHECK(distinct(experts, slots_per_rank));
}

}  // namespace moeshift
