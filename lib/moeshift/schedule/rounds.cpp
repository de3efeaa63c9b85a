// SPDX-License-Identifier: Apache-2.0
#include "moeshift/schedule/rounds.hpp"

#include <algorithm>
#include <cmath>

#include "moeshift/schedule/covering_matching.hpp"
#include "moeshift/schedule/edge_coloring.hpp"

namespace moeshift {
namespace {

/// The hops of one port class as a graph whose rounds are taken out one after another.
class PortGraph {
 public:
  PortGraph(std::size_t ranks, const std::vector<Hop>& hops, const LayerNeeds& needs,
            std::vector<std::uint32_t> members)
      : ranks_(ranks), hop_(std::move(members)), open_(hop_.size(), true) {
    edges_.reserve(hop_.size());
    for (const std::uint32_t i : hop_) {
      edges_.push_back({hops[i].source.value(), needs.arrivals[hops[i].arrival].rank.value()});
    }
    rounds_ = max_degree(edges_, ranks, ranks);
  }

  /// Rounds that the hops not taken yet need.
  [[nodiscard]] std::size_t rounds() const { return rounds_; }
  [[nodiscard]] const std::vector<std::uint32_t>& hops() const { return hop_; }

  /// Takes out one round that uses only hops whose flag in `usable` is set and leaves one round
  /// less to do; false when there is none. @return via `taken` the hops of the round.
  bool take_round(const std::vector<bool>& usable, std::vector<std::uint32_t>& taken) {
    std::vector<std::size_t> sends(ranks_, 0);
    std::vector<std::size_t> receives(ranks_, 0);
    for (std::size_t i = 0; i < edges_.size(); ++i) {
      if (!open_[i]) continue;
      ++sends[edges_[i].sender];
      ++receives[edges_[i].receiver];
    }
    const auto busiest = [&](const std::vector<std::size_t>& degrees) {
      std::vector<bool> flags(ranks_);
      for (std::size_t i = 0; i < ranks_; ++i) flags[i] = degrees[i] == rounds_;
      return flags;
    };
    std::vector<bool> allowed(edges_.size());
    for (std::size_t i = 0; i < edges_.size(); ++i) allowed[i] = open_[i] && usable[hop_[i]];
    const auto round = covering_matching(edges_, allowed, busiest(sends), busiest(receives));
    if (!round) return false;
    taken.clear();
    for (const std::uint32_t edge : *round) {
      open_[edge] = false;
      taken.push_back(hop_[edge]);
    }
    --rounds_;
    return true;
  }

  /// Colours what is left: round `first` + colour.
  void order_rest(std::uint32_t first, std::uint32_t group, std::vector<HopTime>& times) const {
    std::vector<PortPair> rest;
    std::vector<std::uint32_t> rest_hops;
    for (std::size_t i = 0; i < edges_.size(); ++i) {
      if (!open_[i]) continue;
      rest.push_back(edges_[i]);
      rest_hops.push_back(hop_[i]);
    }
    const std::vector<std::uint32_t> colours = color_edges(rest, ranks_, ranks_);
    for (std::size_t i = 0; i < rest.size(); ++i) times[rest_hops[i]] = {first + colours[i], group};
  }

 private:
  std::size_t ranks_;
  std::vector<std::uint32_t> hop_;  ///< of each edge
  std::vector<PortPair> edges_;
  std::vector<bool> open_;  ///< not taken yet
  std::size_t rounds_ = 0;
};

class Ordering {
 public:
  Ordering(const std::vector<Hop>& hops, const LayerNeeds& needs, std::size_t ranks)
      : hops_(hops),
        times_(hops.size()),
        inter_(ranks, hops, needs, members(false)),
        intra_(ranks, hops, needs, members(true)) {}

  std::vector<HopTime> solve(double inter_round_per_intra_round) {
    const bool tree = std::any_of(hops_.begin(), hops_.end(),
                                  [](const Hop& hop) { return hop.round != Hop::kAnyRound; });
    const std::vector<std::size_t> crossing_rounds = tree ? follow_tree() : order_crossings();
    order_inside(crossing_rounds, inter_round_per_intra_round);
    return std::move(times_);
  }

 private:
  std::vector<std::uint32_t> members(bool inside) const {
    std::vector<std::uint32_t> kept;
    for (std::uint32_t i = 0; i < hops_.size(); ++i) {
      if ((hops_[i].link == LinkClass::kIntraNode) == inside) kept.push_back(i);
    }
    return kept;
  }

  /// If anything is handed on, one last round of crossings that nobody waits for goes beside that.
  /// @return rounds of each group.
  std::vector<std::size_t> order_crossings() {
    std::vector<std::size_t> rounds = {0};
    std::vector<bool> nobody_waits(hops_.size(), true);
    bool relays = false;
    for (const Hop& hop : hops_) {
      if (hop.relayed()) nobody_waits[hop.after] = false;
      relays |= hop.relayed();
    }
    std::vector<std::uint32_t> last;
    if (relays && inter_.rounds() > 1 && inter_.take_round(nobody_waits, last)) {
      const auto round = static_cast<std::uint32_t>(inter_.rounds());
      for (const std::uint32_t hop : last) times_[hop] = {round, 1};
      rounds.push_back(1);
    }
    inter_.order_rest(0, 0, times_);
    rounds[0] = inter_.rounds();
    return rounds;
  }

  /// Rounds are given; a group ends before the first crossing that reads what it brings.
  std::vector<std::size_t> follow_tree() {
    std::vector<std::uint32_t> order = inter_.hops();
    std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
      return hops_[a].round < hops_[b].round;
    });
    std::vector<std::uint32_t> first_rounds = {0};  // of each group
    for (const std::uint32_t i : order) {
      const Hop& hop = hops_[i];
      if (hop.relayed() && hops_[hop.after].round >= first_rounds.back()) {
        first_rounds.push_back(hop.round);
      }
    }
    for (const std::uint32_t i : order) {
      const auto after = std::upper_bound(first_rounds.begin(), first_rounds.end(), hops_[i].round);
      times_[i] = {hops_[i].round, static_cast<std::uint32_t>(after - first_rounds.begin() - 1)};
    }
    std::vector<std::size_t> rounds;
    for (std::size_t group = 0; group + 1 < first_rounds.size(); ++group) {
      rounds.push_back(first_rounds[group + 1] - first_rounds[group]);
    }
    rounds.push_back(hops_[order.back()].round + 1 - first_rounds.back());
    return rounds;
  }

  /// Beside each group of crossings as many rounds as fit of what may go then; the rest in the
  /// group after the last one that something waits for.
  void order_inside(const std::vector<std::size_t>& crossing_rounds, double rounds_per_crossing) {
    std::uint32_t last = 0;
    for (const std::uint32_t i : intra_.hops()) {
      if (hops_[i].relayed()) last = std::max(last, times_[hops_[i].after].group + 1);
    }
    std::vector<std::uint32_t> taken;
    std::vector<bool> may_go(hops_.size());
    std::uint32_t round = 0;
    for (std::uint32_t group = 0; group < last; ++group) {
      for (const std::uint32_t i : intra_.hops()) {
        may_go[i] = !hops_[i].relayed() || times_[hops_[i].after].group < group;
      }
      const auto fit = static_cast<std::size_t>(
          std::ceil(static_cast<double>(crossing_rounds.at(group)) * rounds_per_crossing));
      for (std::size_t i = 0; i < fit && intra_.rounds() > 0; ++i) {
        if (!intra_.take_round(may_go, taken)) break;
        for (const std::uint32_t hop : taken) times_[hop] = {round, group};
        ++round;
      }
    }
    intra_.order_rest(round, last, times_);
  }

  const std::vector<Hop>& hops_;
  std::vector<HopTime> times_;
  PortGraph inter_;
  PortGraph intra_;
};

}  // namespace

std::vector<HopTime> order_hops(const std::vector<Hop>& hops, const LayerNeeds& needs,
                                std::size_t ranks, double inter_round_per_intra_round) {
  return Ordering(hops, needs, ranks).solve(inter_round_per_intra_round);
}

}  // namespace moeshift
