// SPDX-License-Identifier: Apache-2.0
#include "moeshift/cost/best_split.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>

namespace moeshift {
namespace {

/// Dinic's maximum flow on a small graph.
class FlowGraph {
 public:
  explicit FlowGraph(std::size_t nodes) : first_(nodes, kNone), level_(nodes), next_(nodes) {}

  std::size_t add(std::size_t from, std::size_t to, double capacity) {
    const std::size_t edge = edges_.size();
    edges_.push_back({to, first_[from], capacity});
    first_[from] = edge;
    edges_.push_back({from, first_[to], 0});
    first_[to] = edge + 1;
    return edge;
  }
  [[nodiscard]] double flow(std::size_t edge) const { return edges_[edge ^ 1U].room; }
  /// Widens an edge that may already carry flow.
  void widen(std::size_t edge, double by) { edges_[edge].room += by; }

  double push_all(std::size_t source, std::size_t sink, double least) {
    least_ = least;
    double pushed = 0;
    while (reach(source, sink)) {
      next_ = first_;
      for (double flow = push(source, sink, std::numeric_limits<double>::infinity()); flow > 0;
           flow = push(source, sink, std::numeric_limits<double>::infinity())) {
        pushed += flow;
      }
    }
    return pushed;
  }
  /// On the source's side of the last cut.
  [[nodiscard]] bool reached(std::size_t node) const { return level_[node] >= 0; }

 private:
  static constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();
  struct Edge {
    std::size_t to;
    std::size_t next;
    double room;
  };

  bool reach(std::size_t source, std::size_t sink) {
    std::fill(level_.begin(), level_.end(), -1);
    std::vector<std::size_t> queue{source};
    level_[source] = 0;
    for (std::size_t i = 0; i < queue.size(); ++i) {
      for (std::size_t e = first_[queue[i]]; e != kNone; e = edges_[e].next) {
        if (edges_[e].room <= least_ || level_[edges_[e].to] >= 0) continue;
        level_[edges_[e].to] = level_[queue[i]] + 1;
        queue.push_back(edges_[e].to);
      }
    }
    return level_[sink] >= 0;
  }

  double push(std::size_t node, std::size_t sink, double most) {
    if (node == sink) return most;
    for (std::size_t& e = next_[node]; e != kNone; e = edges_[e].next) {
      if (edges_[e].room <= least_ || level_[edges_[e].to] != level_[node] + 1) continue;
      const double flow = push(edges_[e].to, sink, std::min(most, edges_[e].room));
      if (flow <= 0) continue;
      edges_[e].room -= flow;
      edges_[e ^ 1U].room += flow;
      return flow;
    }
    return 0;
  }

  std::vector<Edge> edges_;
  std::vector<std::size_t> first_;
  std::vector<int> level_;
  std::vector<std::size_t> next_;
  double least_ = 0;
};

}  // namespace

std::vector<std::vector<double>> best_split(std::span<const double> load,
                                            std::span<const std::vector<std::size_t>> holders,
                                            std::size_t ranks) {
  std::vector<std::vector<double>> split(load.size());
  for (std::size_t e = 0; e < load.size(); ++e) split[e].assign(holders[e].size(), 0.0);
  const double total = std::accumulate(load.begin(), load.end(), 0.0);
  if (total <= 0) return split;
  const std::size_t source = load.size() + ranks;
  const std::size_t sink = source + 1;
  FlowGraph graph(sink + 1);
  std::vector<std::vector<std::size_t>> to_holder(load.size());
  for (std::size_t e = 0; e < load.size(); ++e) {
    if (load[e] <= 0) continue;
    graph.add(source, e, load[e]);
    for (const std::size_t rank : holders[e]) {
      to_holder[e].push_back(graph.add(e, load.size() + rank, load[e]));
    }
  }
  const double mean = total / static_cast<double>(ranks);
  std::vector<std::size_t> into_sink;
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    into_sink.push_back(graph.add(load.size() + rank, sink, mean));
  }
  const double least = 1e-12 * total;
  double pushed = graph.push_all(source, sink, least);
  for (std::size_t rise = 0; rise < ranks && total - pushed > 1e-9 * total; ++rise) {
    // What is stuck can only go to the ranks on the source's side, which are all full.
    double full = 0;
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      full += graph.reached(load.size() + rank) ? 1 : 0;
    }
    if (full == 0) break;
    const double by = (total - pushed) / full;
    for (const std::size_t edge : into_sink) graph.widen(edge, by);
    pushed += graph.push_all(source, sink, least);
  }
  for (std::size_t e = 0; e < load.size(); ++e) {
    for (std::size_t i = 0; i < to_holder[e].size(); ++i) split[e][i] = graph.flow(to_holder[e][i]);
  }
  return split;
}

}  // namespace moeshift
