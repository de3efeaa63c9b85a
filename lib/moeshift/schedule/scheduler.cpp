// SPDX-License-Identifier: Apache-2.0
#include "moeshift/schedule/scheduler.hpp"

#include <algorithm>
#include <string>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/schedule/layer_needs.hpp"
#include "moeshift/schedule/rounds.hpp"
#include "moeshift/schedule/routes.hpp"

namespace moeshift {
namespace {

using Buffers = IdVector<RankId, std::uint32_t>;

void check_shapes(const Placement& old, const Placement& next, const Topology& topology) {
  const auto disagree = [](std::string_view what, std::size_t a, std::size_t b) {
    throw InputError("", fmt::format("old placement has {} {}, new placement {}", a, what, b));
  };
  if (old.layers() != next.layers()) disagree("layers", old.layers(), next.layers());
  if (old.experts() != next.experts()) disagree("experts", old.experts(), next.experts());
  const std::size_t ranks = std::max(old.ranks(), next.ranks());
  if (topology.ranks() != ranks) {
    throw InputError(
        "", fmt::format("placements have {} ranks, cluster has {}", ranks, topology.ranks()));
  }
}

IdVector<RankId, bool> dead_flags(const ScheduleOptions& options, std::size_t ranks) {
  IdVector<RankId, bool> dead(ranks, false);
  for (const RankId rank : options.dead_ranks) {
    if (rank.index() >= ranks) {
      throw InputError("", fmt::format("dead rank {}, expected 0 .. {}", rank.value(), ranks - 1));
    }
    dead[rank] = true;
  }
  return dead;
}

/// "layer 3: experts 5, 7; layer 4: expert 9"
void check_reachable(const std::vector<LayerNeeds>& needs) {
  std::string missing;
  for (std::size_t layer = 0; layer < needs.size(); ++layer) {
    const std::vector<ExpertId>& experts = needs[layer].unreachable;
    if (experts.empty()) continue;
    missing += fmt::format("{}layer {}: expert{}", missing.empty() ? "" : "; ", layer,
                           experts.size() == 1 ? "" : "s");
    for (std::size_t i = 0; i < experts.size(); ++i) {
      missing += fmt::format("{} {}", i == 0 ? "" : ",", experts[i].value());
    }
  }
  if (!missing.empty()) {
    throw InputError("", "no live rank of the old placement holds " + missing);
  }
}

void check_budget(const TransferPlan& plan, const std::optional<Bytes>& budget) {
  if (!budget) return;
  for (const RankId rank : plan.staging_slots.ids()) {
    if (plan.staging_bytes(rank) <= *budget) continue;
    throw InfeasibleError(fmt::format("rank {} needs {} bytes of staging memory, the budget is {}",
                                      rank.value(), plan.staging_bytes(rank).count(),
                                      budget->count()));
  }
}

/// Copies and transfers of one layer; `next_buffer` counts the staging buffers handed out per rank.
class WaveBuilder {
 public:
  WaveBuilder(const LayerNeeds& needs, Buffers& next_buffer)
      : needs_(needs), next_buffer_(next_buffer) {}

  Wave build(const Topology& topology) {
    stage_local_moves();
    const std::vector<Hop> hops = choose_routes(needs_, topology);
    add_transfers(hops, order_hops(hops, needs_, topology.ranks()));
    return std::move(wave_);
  }

 private:
  Place new_buffer(RankId rank) { return {Place::Kind::kStaging, next_buffer_[rank]++}; }

  void stage_local_moves() {
    for (const LocalMove& move : needs_.local) {
      const Place buffer = new_buffer(move.rank);
      wave_.stage_copies.push_back(
          {move.rank, move.expert, {Place::Kind::kLive, move.from}, buffer});
      wave_.commit_copies.push_back(
          {move.rank, move.expert, buffer, {Place::Kind::kLive, move.to}});
    }
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
    std::sort(wave_.transfers.begin(), wave_.transfers.end(),
              [](const Transfer& a, const Transfer& b) {
                return std::tie(a.group, a.round, a.source, a.destination, a.expert) <
                       std::tie(b.group, b.round, b.source, b.destination, b.expert);
              });
    std::stable_sort(wave_.commit_copies.begin(), wave_.commit_copies.end(),
                     [](const LocalCopy& a, const LocalCopy& b) { return a.rank < b.rank; });
  }

  void add_transfer(const Hop& hop, HopTime time, const std::vector<Place>& landing) {
    const Arrival& arrival = needs_.arrivals[hop.arrival];
    const Place from =
        hop.relayed() ? landing[hop.after] : Place{Place::Kind::kLive, hop.source_slot};
    wave_.transfers.push_back({arrival.expert, hop.source, from, arrival.rank, landing[hop.arrival],
                               hop.link, time.round, time.group});
    for (const std::uint32_t slot : arrival.slots) {
      wave_.commit_copies.push_back(
          {arrival.rank, arrival.expert, landing[hop.arrival], {Place::Kind::kLive, slot}});
    }
  }

  const LayerNeeds& needs_;
  Buffers& next_buffer_;
  Wave wave_;
};

}  // namespace

TransferPlan make_transfer_plan(const Placement& old, const Placement& next,
                                const Topology& topology, Bytes expert_bytes,
                                const ScheduleOptions& options, Threads threads) {
  check_shapes(old, next, topology);
  const IdVector<RankId, bool> dead = dead_flags(options, topology.ranks());
  std::vector<LayerNeeds> needs(next.layers());
  parallel_for(needs.size(), threads,
               [&](std::size_t i) { needs[i] = find_needs(old, next, LayerId(i), dead); });
  check_reachable(needs);

  TransferPlan plan;
  plan.ranks = topology.ranks();
  plan.experts = next.experts();
  plan.old_slots_per_rank = old.slots_per_rank();
  plan.new_slots_per_rank = next.slots_per_rank();
  plan.old_ranks = old.ranks();
  plan.new_ranks = next.ranks();
  plan.expert_bytes = expert_bytes;
  plan.layers.resize(needs.size());
  std::vector<Buffers> buffers(needs.size(), Buffers(plan.ranks, 0));
  parallel_for(needs.size(), threads, [&](std::size_t i) {
    plan.layers[i].layer = LayerId(i);
    if (needs[i].local.empty() && needs[i].arrivals.empty()) return;
    plan.layers[i].waves.push_back(WaveBuilder(needs[i], buffers[i]).build(topology));
  });
  plan.staging_slots.assign(plan.ranks, 0);
  for (std::size_t i = 0; i < needs.size(); ++i) {
    plan.batches.push_back({i, 1});
    for (const RankId rank : plan.staging_slots.ids()) {
      plan.staging_slots[rank] = std::max(plan.staging_slots[rank], buffers[i][rank]);
    }
  }
  check_budget(plan, options.staging_bytes);
  plan.hash = content_hash(plan);
  return plan;
}

}  // namespace moeshift
