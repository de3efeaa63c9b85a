// SPDX-License-Identifier: Apache-2.0
#include "moeshift/schedule/peer_schedules.hpp"

#include <algorithm>
#include <span>
#include <tuple>
#include <utility>

#include "moeshift/schedule/problem.hpp"

namespace moeshift {
namespace {

constexpr std::uint32_t kSglangChunk = 32;

using Arrivals = std::vector<const Arrival*>;

/// Receiver i of an expert is served by sources[serves(i)].
void send(const Arrival& arrival, const Holder& source, const Topology& topology, Wave& wave) {
  Transfer t;
  t.expert = arrival.expert;
  t.source = source.rank;
  t.from = {Place::Kind::kLive, source.slot};
  t.destination = arrival.rank;
  t.link = topology.link(source.rank, arrival.rank);
  wave.transfers.push_back(t);
}

/// Sender i serves receivers [i*q, (i+1)*q), then one each of the remainder.
void serve_as_vllm(const Arrivals& receivers, std::span<const Holder> senders,
                   const Topology& topology, Wave& wave) {
  const std::size_t share = receivers.size() / senders.size();
  for (std::size_t i = 0; i < receivers.size(); ++i) {
    const bool regular = i < share * senders.size();
    const std::size_t sender = regular ? i / share : i - share * senders.size();
    send(*receivers[i], senders[sender], topology, wave);
  }
}

/// Contiguous chunks, the first ones take one more.
void serve_in_chunks(const Arrivals& receivers, std::span<const Holder> senders,
                     const Topology& topology, Wave& wave) {
  const std::size_t share = receivers.size() / senders.size();
  const std::size_t larger = receivers.size() % senders.size();
  std::size_t next = 0;
  for (std::size_t s = 0; s < senders.size(); ++s) {
    for (std::size_t i = 0; i < share + (s < larger ? 1 : 0); ++i) {
      send(*receivers[next++], senders[s], topology, wave);
    }
  }
}

/// Same-node sources serve their node; nodes without one are served by all sources.
void serve_as_sglang(const Arrivals& receivers, std::span<const Holder> senders,
                     const Topology& topology, Wave& wave) {
  Arrivals far;
  for (std::size_t i = 0; i < receivers.size();) {
    const NodeId node = topology.node_of(receivers[i]->rank);
    Arrivals here;
    for (; i < receivers.size() && topology.node_of(receivers[i]->rank) == node; ++i) {
      here.push_back(receivers[i]);
    }
    std::vector<Holder> near;
    std::copy_if(senders.begin(), senders.end(), std::back_inserter(near),
                 [&](const Holder& h) { return topology.node_of(h.rank) == node; });
    if (near.empty()) {
      far.insert(far.end(), here.begin(), here.end());
    } else {
      serve_in_chunks(here, near, topology, wave);
    }
  }
  serve_in_chunks(far, senders, topology, wave);
}

/// One sender for all receivers: the lowest rank that gives the expert up, else the lowest.
void serve_as_ascend(const Arrivals& receivers, const LayerNeeds& needs, const Topology& topology,
                     Wave& wave) {
  const ExpertId expert = receivers.front()->expert;
  const auto senders = needs.holders_of(expert);
  std::size_t chosen = 0;
  while (chosen < senders.size() && !needs.leaves(expert, chosen)) ++chosen;
  if (chosen == senders.size()) chosen = 0;
  for (const Arrival* receiver : receivers) send(*receiver, senders[chosen], topology, wave);
}

/// Flows (all experts of a directed pair) in order of first appearance go to the first batch in
/// which neither end is busy, as sender or receiver.
void batch_first_fit(Wave& wave, std::size_t ranks) {
  std::vector<std::vector<bool>> busy;  // [batches][ranks]
  std::vector<std::vector<std::uint32_t>> batch_of(ranks, std::vector<std::uint32_t>(ranks, 0));
  for (Transfer& t : wave.transfers) {
    std::uint32_t& batch = batch_of[t.source.index()][t.destination.index()];  // counted from 1
    while (batch == 0) {
      const auto fits = std::find_if(busy.begin(), busy.end(), [&](const auto& b) {
        return !b[t.source.index()] && !b[t.destination.index()];
      });
      if (fits == busy.end()) {
        busy.emplace_back(ranks, false);
        continue;
      }
      (*fits)[t.source.index()] = (*fits)[t.destination.index()] = true;
      batch = static_cast<std::uint32_t>(fits - busy.begin()) + 1;
    }
    t.group = batch - 1;
  }
}

/// Chunks of logical experts; those without transfers need no group.
void batch_by_expert(Wave& wave) {
  std::uint32_t group = 0;
  for (std::size_t i = 0; i < wave.transfers.size(); ++i) {
    Transfer& t = wave.transfers[i];
    if (i > 0 &&
        wave.transfers[i - 1].expert.value() / kSglangChunk != t.expert.value() / kSglangChunk) {
      ++group;
    }
    t.group = group;
  }
}

}  // namespace

Wave peer_exchange(PeerSchedule peer, const LayerNeeds& needs, const Topology& topology) {
  Wave wave;
  for (std::size_t i = 0; i < needs.arrivals.size();) {
    const ExpertId expert = needs.arrivals[i].expert;
    Arrivals receivers;
    for (; i < needs.arrivals.size() && needs.arrivals[i].expert == expert; ++i) {
      receivers.push_back(&needs.arrivals[i]);
    }
    if (peer == PeerSchedule::kAscend) {
      serve_as_ascend(receivers, needs, topology, wave);
      continue;
    }
    const auto serve = peer == PeerSchedule::kSglang ? serve_as_sglang : serve_as_vllm;
    serve(receivers, needs.holders_of(expert), topology, wave);
  }
  if (peer == PeerSchedule::kVllmBatched) batch_first_fit(wave, topology.ranks());
  if (peer == PeerSchedule::kSglang) batch_by_expert(wave);
  for (Transfer& t : wave.transfers) t.round = t.group;
  return wave;
}

void stage_everything(Wave& wave, const LayerNeeds& needs,
                      IdVector<RankId, std::uint32_t>& buffers) {
  for (const LocalMove& move : needs.local) {
    const Place buffer = {Place::Kind::kStaging, buffers[move.rank]++};
    wave.stage_copies.push_back({move.rank, move.expert, {Place::Kind::kLive, move.from}, buffer});
    wave.commit_copies.push_back({move.rank, move.expert, buffer, {Place::Kind::kLive, move.to}});
  }
  IdMatrix<RankId, ExpertId, std::uint32_t> landing(buffers.size(), needs.first_holder.size() - 1);
  for (const Arrival& arrival : needs.arrivals) {
    const Place buffer = {Place::Kind::kStaging, buffers[arrival.rank]++};
    landing(arrival.rank, arrival.expert) = buffer.index;
    wave.commit_copies.push_back(
        {arrival.rank, arrival.expert, buffer, {Place::Kind::kLive, arrival.slot}});
  }
  for (const Arrival& repeat : needs.repeats) {
    const Place buffer = {Place::Kind::kStaging, landing(repeat.rank, repeat.expert)};
    wave.commit_copies.push_back(
        {repeat.rank, repeat.expert, buffer, {Place::Kind::kLive, repeat.slot}});
  }
  for (Transfer& t : wave.transfers) {
    t.to = {Place::Kind::kStaging, landing(t.destination, t.expert)};
  }
}

TransferPlan make_peer_plan(PeerSchedule peer, const Placement& old, const Placement& next,
                            const Topology& topology, const ExpertSizes& sizes,
                            std::uint32_t tensors_per_expert, Threads threads) {
  const Problem problem(old, next, topology, sizes, {}, threads);
  TransferPlan plan = problem.empty_plan();
  plan.messages_per_expert = tensors_per_expert;
  std::vector<IdVector<RankId, std::uint32_t>> buffers(problem.layers());
  parallel_for(problem.layers(), threads, [&](std::size_t i) {
    const LayerNeeds& needs = problem.needs(LayerId(i));
    buffers[i].assign(plan.ranks, 0);
    if (needs.unchanged()) return;
    Wave wave = peer_exchange(peer, needs, topology);
    stage_everything(wave, needs, buffers[i]);
    std::sort(wave.transfers.begin(), wave.transfers.end(),
              [](const Transfer& a, const Transfer& b) {
                return std::tie(a.group, a.source, a.destination, a.expert) <
                       std::tie(b.group, b.source, b.destination, b.expert);
              });
    plan.layers[i].waves.push_back(std::move(wave));
  });
  for (const IdVector<RankId, std::uint32_t>& layer : buffers) {
    for (const RankId rank : layer.ids()) {
      plan.staging_slots[rank] = std::max(plan.staging_slots[rank], layer[rank]);
    }
  }
  plan.hash = content_hash(plan);
  return plan;
}

}  // namespace moeshift
