// SPDX-License-Identifier: Apache-2.0
#include "moeshift/schedule/stepwise.hpp"

#include <algorithm>
#include <vector>

#include "moeshift/core/error.hpp"
#include "moeshift/schedule/problem.hpp"
#include "moeshift/schedule/scheduler.hpp"
#include "moeshift/schedule/wave_builder.hpp"

namespace moeshift {
namespace {

using Buffers = IdVector<RankId, std::uint32_t>;

std::uint32_t arrival_of(const Transfer& t, const LayerNeeds& needs) {
  const Arrival wanted{t.expert, t.destination, 0};
  const auto found = std::lower_bound(needs.arrivals.begin(), needs.arrivals.end(), wanted);
  MOESHIFT_CHECK(found != needs.arrivals.end());
  return static_cast<std::uint32_t>(found - needs.arrivals.begin());
}

/// The peer's choice of sources.
std::vector<Hop> hops_of(const Wave& exchange, const LayerNeeds& needs) {
  std::vector<Hop> hops(needs.arrivals.size());
  for (const Transfer& t : exchange.transfers) {
    Hop hop;
    hop.arrival = arrival_of(t, needs);
    hop.source = t.source;
    hop.source_slot = t.from.index;
    hop.link = t.link;
    hops[hop.arrival] = hop;
  }
  return hops;
}

Wave wave_of(PeerSchedule peer, ScheduleStep step, const LayerNeeds& needs,
             const Topology& topology, double ratio, Buffers& buffers) {
  Wave exchange = peer_exchange(peer, needs, topology);
  const std::vector<Hop> hops = step >= ScheduleStep::kSources
                                    ? choose_routes(needs, topology, {.fan_out = false})
                                    : hops_of(exchange, needs);
  const std::vector<HopTime> times = order_hops(hops, needs, topology.ranks(), ratio);
  if (step >= ScheduleStep::kCopies) return build_wave(needs, hops, times, false, buffers);
  for (Transfer& t : exchange.transfers) {
    const HopTime& time = times[arrival_of(t, needs)];
    t.round = time.round;
    t.group = time.group;
  }
  stage_everything(exchange, needs, buffers);
  return exchange;
}

}  // namespace

TransferPlan make_step_plan(PeerSchedule peer, ScheduleStep step, const Placement& old,
                            const Placement& next, const Topology& topology,
                            const ExpertSizes& sizes, std::uint32_t tensors_per_expert,
                            double inter_round_per_intra_round, Threads threads) {
  if (step <= ScheduleStep::kPacking) {
    const std::uint32_t messages = step == ScheduleStep::kPeer ? tensors_per_expert : 0;
    return make_peer_plan(peer, old, next, topology, sizes, messages, threads);
  }
  if (step == ScheduleStep::kFanOut) {
    ScheduleOptions options;
    options.inter_round_per_intra_round = inter_round_per_intra_round;
    return make_transfer_plan(old, next, topology, sizes, options, threads);
  }
  const Problem problem(old, next, topology, sizes, {}, threads);
  TransferPlan plan = problem.empty_plan();
  std::vector<Buffers> buffers(problem.layers());
  parallel_for(problem.layers(), threads, [&](std::size_t i) {
    const LayerNeeds& needs = problem.needs(LayerId(i));
    buffers[i].assign(plan.ranks, 0);
    if (needs.unchanged()) return;
    plan.layers[i].waves.push_back(
        wave_of(peer, step, needs, topology, inter_round_per_intra_round, buffers[i]));
  });
  for (const Buffers& layer : buffers) {
    for (const RankId rank : layer.ids()) {
      plan.staging_slots[rank] = std::max(plan.staging_slots[rank], layer[rank]);
    }
  }
  plan.hash = content_hash(plan);
  return plan;
}

}  // namespace moeshift
