// SPDX-License-Identifier: Apache-2.0
#include "moeshift/schedule/rounds.hpp"

#include <algorithm>
#include <numeric>

#include "moeshift/schedule/edge_coloring.hpp"

namespace moeshift {
namespace {

class Ordering {
 public:
  Ordering(const std::vector<Hop>& hops, const LayerNeeds& needs, std::size_t ranks)
      : hops_(hops), needs_(needs), ranks_(ranks), times_(hops.size()) {}

  std::vector<HopTime> solve() {
    color(indices_where([](const Hop& hop) { return hop.link != LinkClass::kIntraNode; }));
    color(indices_where([](const Hop& hop) { return hop.link == LinkClass::kIntraNode; }));
    cut_groups();
    return std::move(times_);
  }

 private:
  template <class Predicate>
  std::vector<std::uint32_t> indices_where(Predicate keep) const {
    std::vector<std::uint32_t> kept;
    for (std::uint32_t i = 0; i < hops_.size(); ++i) {
      if (keep(hops_[i])) kept.push_back(i);
    }
    return kept;
  }

  /// The first round in which the hop may happen.
  std::uint32_t release(const Hop& hop) const {
    return hop.relayed() ? times_[hop.after].round + 1 : 0;
  }

  void color(const std::vector<std::uint32_t>& chosen) {
    std::vector<PortPair> edges;
    edges.reserve(chosen.size());
    for (const std::uint32_t i : chosen) {
      edges.push_back({hops_[i].source.value(), needs_.arrivals[hops_[i].arrival].rank.value()});
    }
    const std::vector<std::uint32_t> colours = color_edges(edges, ranks_, ranks_);
    const std::vector<std::uint32_t> rounds = rounds_of_colours(chosen, colours);
    for (std::size_t i = 0; i < chosen.size(); ++i) times_[chosen[i]].round = rounds[colours[i]];
  }

  /// Colours in the order in which all of their hops may happen.
  std::vector<std::uint32_t> rounds_of_colours(const std::vector<std::uint32_t>& chosen,
                                               const std::vector<std::uint32_t>& colours) const {
    std::vector<std::uint32_t> releases;
    for (std::size_t i = 0; i < chosen.size(); ++i) {
      if (colours[i] >= releases.size()) releases.resize(colours[i] + 1, 0);
      releases[colours[i]] = std::max(releases[colours[i]], release(hops_[chosen[i]]));
    }
    std::vector<std::uint32_t> order(releases.size());
    std::iota(order.begin(), order.end(), 0U);
    std::stable_sort(order.begin(), order.end(),
                     [&](auto a, auto b) { return releases[a] < releases[b]; });
    std::vector<std::uint32_t> rounds(releases.size(), 0);
    std::uint32_t next = 0;
    for (const std::uint32_t colour : order) {
      rounds[colour] = std::max(next, releases[colour]);
      next = rounds[colour] + 1;
    }
    return rounds;
  }

  /// The fewest groups: a new one begins where a hop waits for one of the current group.
  void cut_groups() {
    std::vector<std::uint32_t> order(hops_.size());
    std::iota(order.begin(), order.end(), 0U);
    std::stable_sort(order.begin(), order.end(),
                     [&](auto a, auto b) { return times_[a].round < times_[b].round; });
    std::vector<std::uint32_t> first_round = {0};
    for (const std::uint32_t i : order) {
      if (release(hops_[i]) > first_round.back()) first_round.push_back(times_[i].round);
    }
    for (HopTime& time : times_) {
      const auto after = std::upper_bound(first_round.begin(), first_round.end(), time.round);
      time.group = static_cast<std::uint32_t>(after - first_round.begin() - 1);
    }
  }

  const std::vector<Hop>& hops_;
  const LayerNeeds& needs_;
  std::size_t ranks_;
  std::vector<HopTime> times_;
};

}  // namespace

std::vector<HopTime> order_hops(const std::vector<Hop>& hops, const LayerNeeds& needs,
                                std::size_t ranks) {
  return Ordering(hops, needs, ranks).solve();
}

}  // namespace moeshift
