// SPDX-License-Identifier: Apache-2.0
#include "moeshift/schedule/weighted_rounds.hpp"

#include <algorithm>
#include <functional>
#include <numeric>
#include <set>
#include <utility>

#include "moeshift/schedule/covering_matching.hpp"

namespace moeshift {
namespace {

/// What every sender and receiver has to do.
struct Degrees {
  std::vector<std::int64_t> send;
  std::vector<std::int64_t> receive;
  std::int64_t most = 0;
};

Degrees degrees_of(const std::vector<PortPair>& edges, const std::vector<std::int64_t>& weights,
                   const std::vector<bool>& open, std::size_t senders, std::size_t receivers) {
  Degrees degrees{std::vector<std::int64_t>(senders, 0), std::vector<std::int64_t>(receivers, 0)};
  for (std::size_t i = 0; i < edges.size(); ++i) {
    if (!open[i]) continue;
    std::int64_t& send = degrees.send[edges[i].sender] += weights[i];
    std::int64_t& receive = degrees.receive[edges[i].receiver] += weights[i];
    degrees.most = std::max({degrees.most, send, receive});
  }
  return degrees;
}

std::vector<bool> more_than(const std::vector<std::int64_t>& degrees, std::int64_t limit) {
  std::vector<bool> flags(degrees.size());
  for (std::size_t i = 0; i < degrees.size(); ++i) flags[i] = degrees[i] > limit;
  return flags;
}

/// The first round that is free at both ends of an edge.
class FirstFit {
 public:
  FirstFit(std::size_t senders, std::size_t receivers) : sends_(senders), receives_(receivers) {}

  std::uint32_t place(const PortPair& edge) {
    std::vector<bool>& out = sends_[edge.sender];
    std::vector<bool>& in = receives_[edge.receiver];
    std::uint32_t round = 0;
    while (taken(out, round) || taken(in, round)) ++round;
    for (std::vector<bool>* port : {&out, &in}) {
      port->resize(std::max<std::size_t>(port->size(), round + 1));
      (*port)[round] = true;
    }
    return round;
  }

 private:
  static bool taken(const std::vector<bool>& port, std::uint32_t round) {
    return round < port.size() && port[round];
  }

  std::vector<std::vector<bool>> sends_;
  std::vector<std::vector<bool>> receives_;
};

/// Fills in the rounds of open edges from `first` on, the largest first.
void largest_first(const std::vector<PortPair>& edges, const std::vector<std::int64_t>& weights,
                   const std::vector<bool>& open, std::uint32_t first, std::size_t senders,
                   std::size_t receivers, std::vector<std::uint32_t>& rounds) {
  std::vector<std::uint32_t> order;
  for (std::uint32_t i = 0; i < edges.size(); ++i) {
    if (open[i]) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return weights[a] > weights[b]; });
  FirstFit fit(senders, receivers);
  for (const std::uint32_t i : order) rounds[i] = first + fit.place(edges[i]);
}

std::vector<std::uint32_t> peel(const std::vector<PortPair>& edges,
                                const std::vector<std::int64_t>& weights, std::size_t senders,
                                std::size_t receivers) {
  std::vector<std::uint32_t> rounds(edges.size(), 0);
  std::vector<bool> open(edges.size(), true);
  std::uint32_t next = 0;
  while (const auto round = take_tight_round(edges, weights, open, open, senders, receivers)) {
    for (const std::uint32_t edge : round->edges) {
      rounds[edge] = next;
      open[edge] = false;
    }
    ++next;
  }
  largest_first(edges, weights, open, next, senders, receivers, rounds);
  return rounds;
}

}  // namespace

std::int64_t weighted_degree(const std::vector<PortPair>& edges,
                             const std::vector<std::int64_t>& weights, std::size_t senders,
                             std::size_t receivers) {
  return degrees_of(edges, weights, std::vector<bool>(edges.size(), true), senders, receivers).most;
}

std::optional<TightRound> take_tight_round(const std::vector<PortPair>& edges,
                                           const std::vector<std::int64_t>& weights,
                                           const std::vector<bool>& open,
                                           const std::vector<bool>& usable, std::size_t senders,
                                           std::size_t receivers) {
  const Degrees degrees = degrees_of(edges, weights, open, senders, receivers);
  std::set<std::int64_t, std::greater<>> lengths;
  for (std::size_t i = 0; i < edges.size(); ++i) {
    if (open[i] && usable[i]) lengths.insert(weights[i]);
  }
  std::vector<bool> allowed(edges.size());
  for (const std::int64_t length : lengths) {
    const std::int64_t left = degrees.most - length;
    for (std::size_t i = 0; i < edges.size(); ++i) {
      const std::int64_t least =
          std::max(degrees.send[edges[i].sender], degrees.receive[edges[i].receiver]) - left;
      allowed[i] = open[i] && usable[i] && weights[i] <= length && weights[i] >= least;
    }
    auto round = covering_matching(edges, allowed, more_than(degrees.send, left),
                                   more_than(degrees.receive, left));
    if (round) return TightRound{std::move(*round), length};
  }
  return std::nullopt;
}

std::vector<std::uint32_t> color_weighted_edges(const std::vector<PortPair>& edges,
                                                const std::vector<std::int64_t>& weights,
                                                std::size_t senders, std::size_t receivers) {
  std::vector<std::uint32_t> best = color_edges(edges, senders, receivers);
  const bool alike =
      std::adjacent_find(weights.begin(), weights.end(), std::not_equal_to<>()) == weights.end();
  if (alike) return best;
  std::vector<std::uint32_t> by_size(edges.size(), 0);
  largest_first(edges, weights, std::vector<bool>(edges.size(), true), 0, senders, receivers,
                by_size);
  for (auto& other : {peel(edges, weights, senders, receivers), by_size}) {
    if (length_of_rounds(other, weights) < length_of_rounds(best, weights)) best = other;
  }
  return best;
}

std::int64_t length_of_rounds(const std::vector<std::uint32_t>& rounds,
                              const std::vector<std::int64_t>& weights) {
  std::vector<std::int64_t> lengths;
  for (std::size_t i = 0; i < rounds.size(); ++i) {
    lengths.resize(std::max<std::size_t>(lengths.size(), rounds[i] + 1));
    lengths[rounds[i]] = std::max(lengths[rounds[i]], weights[i]);
  }
  return std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0});
}

}  // namespace moeshift
