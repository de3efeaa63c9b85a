// SPDX-License-Identifier: Apache-2.0
#include "moeshift/schedule/wave_builder.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "moeshift/schedule/local_copies.hpp"

namespace moeshift {
namespace {

/// The last group in which each live slot is read.
class SlotReaders {
 public:
  static constexpr std::uint32_t kAtCommit = std::numeric_limits<std::uint32_t>::max();

  SlotReaders(const std::vector<Hop>& hops, const std::vector<HopTime>& times, const Wave& local) {
    for (std::size_t i = 0; i < hops.size(); ++i) {
      if (!hops[i].relayed()) note(hops[i].source, hops[i].source_slot, times[i].group);
    }
    for (const LocalCopy& copy : local.commit_copies) {
      if (copy.from.kind == Place::Kind::kLive) note(copy.rank, copy.from.index, kAtCommit);
    }
    // Stage copies and exchanges run side by side.
    for (const LocalCopy& copy : local.stage_copies) note(copy.rank, copy.from.index, kAtCommit);
  }

  [[nodiscard]] bool done_before(RankId rank, std::uint32_t slot, std::uint32_t group) const {
    const auto found = last_.find({rank, slot});
    return found == last_.end() || found->second < group;
  }

 private:
  void note(RankId rank, std::uint32_t slot, std::uint32_t group) {
    const auto [entry, fresh] = last_.emplace(std::pair(rank, slot), group);
    if (!fresh) entry->second = std::max(entry->second, group);
  }

  std::map<std::pair<RankId, std::uint32_t>, std::uint32_t> last_;
};

class WaveBuilder {
 public:
  WaveBuilder(const LayerNeeds& needs, IdVector<RankId, std::uint32_t>& next_buffer)
      : needs_(needs), next_buffer_(next_buffer) {}

  Wave build(const std::vector<Hop>& hops, const std::vector<HopTime>& times, bool direct) {
    move_inside_ranks();
    add_transfers(hops, times, direct);
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
  std::vector<Place> landings(const std::vector<Hop>& hops, const std::vector<HopTime>& times,
                              bool direct) {
    std::vector<std::uint32_t> order(hops.size());
    for (std::uint32_t i = 0; i < order.size(); ++i) order[i] = i;
    std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
      return std::tuple(times[a].group, hops[a].source, a) <
             std::tuple(times[b].group, hops[b].source, b);
    });
    std::optional<SlotReaders> readers;
    if (direct) readers.emplace(hops, times, wave_);
    std::vector<Place> landing(hops.size());
    for (const std::uint32_t i : order) {
      const Arrival& arrival = needs_.arrivals[i];
      const bool free = readers && readers->done_before(arrival.rank, arrival.slot, times[i].group);
      landing[i] = free ? Place{Place::Kind::kLive, arrival.slot} : new_buffer(arrival.rank);
    }
    return landing;
  }

  void add_transfers(const std::vector<Hop>& hops, const std::vector<HopTime>& times, bool direct) {
    const std::vector<Place> landing = landings(hops, times, direct);
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
    if (landing[hop.arrival].kind == Place::Kind::kLive) return;
    wave_.commit_copies.push_back(
        {arrival.rank, arrival.expert, landing[hop.arrival], {Place::Kind::kLive, arrival.slot}});
  }

  const LayerNeeds& needs_;
  IdVector<RankId, std::uint32_t>& next_buffer_;
  Wave wave_;
};

}  // namespace

Wave build_wave(const LayerNeeds& needs, const std::vector<Hop>& hops,
                const std::vector<HopTime>& times, bool direct,
                IdVector<RankId, std::uint32_t>& buffers_used) {
  return WaveBuilder(needs, buffers_used).build(hops, times, direct);
}

Wave build_wave(const LayerNeeds& needs, const Topology& topology, const WaveOptions& options,
                IdVector<RankId, std::uint32_t>& buffers_used) {
  const std::vector<Hop> hops = choose_routes(needs, topology);
  const std::vector<HopTime> times =
      order_hops(hops, needs, topology.ranks(), options.inter_round_per_intra_round);
  return build_wave(needs, hops, times, options.direct, buffers_used);
}

}  // namespace moeshift
