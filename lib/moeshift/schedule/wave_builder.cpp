// SPDX-License-Identifier: Apache-2.0
#include "moeshift/schedule/wave_builder.hpp"

#include <algorithm>
#include <tuple>
#include <utility>
#include <vector>

#include "moeshift/schedule/local_copies.hpp"
#include "moeshift/schedule/rounds.hpp"
#include "moeshift/schedule/routes.hpp"

namespace moeshift {
namespace {

class WaveBuilder {
 public:
  WaveBuilder(const LayerNeeds& needs, IdVector<RankId, std::uint32_t>& next_buffer)
      : needs_(needs), next_buffer_(next_buffer) {}

  Wave build(const Topology& topology, double inter_round_per_intra_round) {
    move_inside_ranks();
    const std::vector<Hop> hops = choose_routes(needs_, topology);
    add_transfers(hops, order_hops(hops, needs_, topology.ranks(), inter_round_per_intra_round));
    return std::move(wave_);
  }

 private:
  Place new_buffer(RankId rank) { return {Place::Kind::kStaging, next_buffer_[rank]++}; }

  void move_inside_ranks() {
    LocalCopies copies = order_local_moves(needs_.local, next_buffer_);
    wave_.stage_copies = std::move(copies.stage);
    wave_.commit_copies = std::move(copies.commit);
  }

  /// Buffers are handed out in the order of the exchange, so that what one peer sends in one group
  /// lands side by side.
  void add_transfers(const std::vector<Hop>& hops, const std::vector<HopTime>& times) {
    std::vector<std::uint32_t> order(hops.size());
    for (std::uint32_t i = 0; i < order.size(); ++i) order[i] = i;
    std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
      return std::tuple(times[a].group, hops[a].source, a) <
             std::tuple(times[b].group, hops[b].source, b);
    });
    std::vector<Place> landing(hops.size());
    for (const std::uint32_t i : order) landing[i] = new_buffer(needs_.arrivals[i].rank);
    for (std::uint32_t i = 0; i < hops.size(); ++i) add_transfer(hops[i], times[i], landing);
    for (const Arrival& repeat : needs_.repeats) {
      wave_.commit_copies.push_back({repeat.rank,
                                     repeat.expert,
                                     landing[arrival_of(repeat)],
                                     {Place::Kind::kLive, repeat.slot}});
    }
    std::sort(wave_.transfers.begin(), wave_.transfers.end(),
              [](const Transfer& a, const Transfer& b) {
                return std::tie(a.group, a.round, a.source, a.destination, a.expert) <
                       std::tie(b.group, b.round, b.source, b.destination, b.expert);
              });
    std::stable_sort(wave_.commit_copies.begin(), wave_.commit_copies.end(),
                     [](const LocalCopy& a, const LocalCopy& b) { return a.rank < b.rank; });
  }

  /// The arrival that fills the buffer a further slot is copied from.
  std::size_t arrival_of(const Arrival& repeat) const {
    const Arrival first{repeat.expert, repeat.rank, 0};
    const auto found = std::lower_bound(needs_.arrivals.begin(), needs_.arrivals.end(), first);
    return static_cast<std::size_t>(found - needs_.arrivals.begin());
  }

  void add_transfer(const Hop& hop, HopTime time, const std::vector<Place>& landing) {
    const Arrival& arrival = needs_.arrivals[hop.arrival];
    const Place from =
        hop.relayed() ? landing[hop.after] : Place{Place::Kind::kLive, hop.source_slot};
    wave_.transfers.push_back({arrival.expert, hop.source, from, arrival.rank, landing[hop.arrival],
                               hop.link, time.round, time.group});
    wave_.commit_copies.push_back(
        {arrival.rank, arrival.expert, landing[hop.arrival], {Place::Kind::kLive, arrival.slot}});
  }

  const LayerNeeds& needs_;
  IdVector<RankId, std::uint32_t>& next_buffer_;
  Wave wave_;
};

}  // namespace

Wave build_wave(const LayerNeeds& needs, const Topology& topology,
                double inter_round_per_intra_round, IdVector<RankId, std::uint32_t>& buffers_used) {
  return WaveBuilder(needs, buffers_used).build(topology, inter_round_per_intra_round);
}

}  // namespace moeshift
