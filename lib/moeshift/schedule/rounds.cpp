// SPDX-License-Identifier: Apache-2.0
#include "moeshift/schedule/rounds.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "moeshift/schedule/edge_coloring.hpp"
#include "moeshift/schedule/weighted_rounds.hpp"

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
      const Arrival& arrival = needs.arrivals[hops[i].arrival];
      edges_.push_back({hops[i].source.value(), arrival.rank.value()});
      weights_.push_back(needs.weight(arrival.expert));
    }
  }

  /// How long the rounds of the hops not taken yet are at least, together.
  [[nodiscard]] std::int64_t length() const {
    const Rest rest = this->rest();
    return weighted_degree(rest.edges, rest.weights, ranks_, ranks_);
  }
  [[nodiscard]] const std::vector<std::uint32_t>& hops() const { return hop_; }
  /// Hops not taken yet of the port that has most.
  [[nodiscard]] std::size_t busiest() const { return max_degree(rest().edges, ranks_, ranks_); }

  /// Takes out one round that uses only hops whose flag in `usable` is set and leaves as much less
  /// to do as it is long; 0 when there is none, else its length. @return via `taken` the hops of
  /// the round.
  std::int64_t take_round(const std::vector<bool>& usable, std::vector<std::uint32_t>& taken) {
    std::vector<bool> allowed(edges_.size());
    for (std::size_t i = 0; i < edges_.size(); ++i) allowed[i] = usable[hop_[i]];
    const auto round = take_tight_round(edges_, weights_, open_, allowed, ranks_, ranks_);
    if (!round) return 0;
    taken.clear();
    for (const std::uint32_t edge : round->edges) {
      open_[edge] = false;
      taken.push_back(hop_[edge]);
    }
    return round->length;
  }

  /// Colours what is left: round `first` + colour. @return the round after the last one.
  std::uint32_t order_rest(std::uint32_t first, std::uint32_t group,
                           std::vector<HopTime>& times) const {
    const Rest rest = this->rest();
    const std::vector<std::uint32_t> colours =
        color_weighted_edges(rest.edges, rest.weights, ranks_, ranks_);
    std::uint32_t next = first;
    for (std::size_t i = 0; i < colours.size(); ++i) {
      times[rest.hops[i]] = {first + colours[i], group};
      next = std::max(next, first + colours[i] + 1);
    }
    return next;
  }

 private:
  /// What was not taken yet.
  struct Rest {
    std::vector<PortPair> edges;
    std::vector<std::int64_t> weights;
    std::vector<std::uint32_t> hops;
  };

  [[nodiscard]] Rest rest() const {
    Rest rest;
    for (std::size_t i = 0; i < edges_.size(); ++i) {
      if (!open_[i]) continue;
      rest.edges.push_back(edges_[i]);
      rest.weights.push_back(weights_[i]);
      rest.hops.push_back(hop_[i]);
    }
    return rest;
  }

  std::size_t ranks_;
  std::vector<std::uint32_t> hop_;  ///< of each edge
  std::vector<PortPair> edges_;
  std::vector<std::int64_t> weights_;
  std::vector<bool> open_;  ///< not taken yet
};

class Ordering {
 public:
  Ordering(const std::vector<Hop>& hops, const LayerNeeds& needs, std::size_t ranks)
      : hops_(hops),
        needs_(needs),
        times_(hops.size()),
        inter_(ranks, hops, needs, members(false)),
        intra_(ranks, hops, needs, members(true)) {}

  std::vector<HopTime> solve(double inter_round_per_intra_round) {
    const bool tree = std::any_of(hops_.begin(), hops_.end(),
                                  [](const Hop& hop) { return hop.round != Hop::kAnyRound; });
    const std::vector<std::int64_t> crossing_lengths = tree ? follow_tree() : order_crossings();
    order_inside(crossing_lengths, inter_round_per_intra_round);
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
  /// @return how long the rounds of each group take.
  std::vector<std::int64_t> order_crossings() {
    std::vector<std::int64_t> lengths = {0};
    std::vector<bool> nobody_waits(hops_.size(), true);
    bool relays = false;
    for (const Hop& hop : hops_) {
      if (hop.relayed()) nobody_waits[hop.after] = false;
      relays |= hop.relayed();
    }
    std::vector<std::uint32_t> last;
    if (relays && inter_.busiest() > 1) {
      const std::int64_t length = inter_.take_round(nobody_waits, last);
      if (length > 0) lengths.push_back(length);
    }
    lengths[0] = inter_.length();
    const std::uint32_t round = inter_.order_rest(0, 0, times_);
    for (const std::uint32_t hop : last) times_[hop] = {round, 1};
    return lengths;
  }

  /// Rounds are given; a group ends before the first crossing that reads what it brings.
  std::vector<std::int64_t> follow_tree() {
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
    return lengths_of(order, first_rounds.size());
  }

  /// The longest hop of each round, added up for each group.
  [[nodiscard]] std::vector<std::int64_t> lengths_of(const std::vector<std::uint32_t>& hops,
                                                     std::size_t groups) const {
    std::map<std::pair<std::uint32_t, std::uint32_t>, std::int64_t> rounds;
    for (const std::uint32_t i : hops) {
      std::int64_t& length = rounds[{times_[i].group, times_[i].round}];
      length = std::max(length, needs_.weight(needs_.arrivals[hops_[i].arrival].expert));
    }
    std::vector<std::int64_t> lengths(groups, 0);
    for (const auto& [key, length] : rounds) lengths[key.first] += length;
    return lengths;
  }

  /// Beside each group of crossings as many rounds as fit of what may go then; the rest in the
  /// group after the last one that something waits for.
  void order_inside(const std::vector<std::int64_t>& crossing_lengths, double rounds_per_crossing) {
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
      const double fit =
          std::ceil(static_cast<double>(crossing_lengths.at(group)) * rounds_per_crossing);
      for (double used = 0; used < fit;) {
        const std::int64_t length = intra_.take_round(may_go, taken);
        if (length == 0) break;
        used += static_cast<double>(length);
        for (const std::uint32_t hop : taken) times_[hop] = {round, group};
        ++round;
      }
    }
    intra_.order_rest(round, last, times_);
  }

  const std::vector<Hop>& hops_;
  const LayerNeeds& needs_;
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
