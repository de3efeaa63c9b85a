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
    const bool relays =
        std::any_of(hops_.begin(), hops_.end(), [](const Hop& hop) { return hop.relayed(); });
    if (!relays) {
      inter_.order_rest(0, 0, times_);
      intra_.order_rest(0, 0, times_);
      return std::move(times_);
    }
    const std::size_t early_crossings = order_crossings();
    order_inside(static_cast<std::size_t>(
        std::ceil(static_cast<double>(early_crossings) * inter_round_per_intra_round)));
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

  /// All but one last round of crossings that nobody waits for. @return rounds of the first group.
  std::size_t order_crossings() {
    std::vector<bool> nobody_waits(hops_.size(), true);
    for (const Hop& hop : hops_) {
      if (hop.relayed()) nobody_waits[hop.after] = false;
    }
    std::vector<std::uint32_t> last;
    if (inter_.rounds() > 1 && inter_.take_round(nobody_waits, last)) {
      const auto round = static_cast<std::uint32_t>(inter_.rounds());
      for (const std::uint32_t hop : last) times_[hop] = {round, 1};
    }
    inter_.order_rest(0, 0, times_);
    return inter_.rounds();
  }

  /// At most `early` rounds of hops that wait for nothing, then all others.
  void order_inside(std::size_t early) {
    std::vector<bool> waits_for_none(hops_.size());
    for (std::size_t i = 0; i < hops_.size(); ++i) waits_for_none[i] = !hops_[i].relayed();
    std::vector<std::uint32_t> taken;
    std::uint32_t round = 0;
    while (round < early && intra_.rounds() > 0 && intra_.take_round(waits_for_none, taken)) {
      for (const std::uint32_t hop : taken) times_[hop] = {round, 0};
      ++round;
    }
    intra_.order_rest(round, 1, times_);
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
