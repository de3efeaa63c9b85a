// SPDX-License-Identifier: Apache-2.0
#include "moeshift/cost/group_cost.hpp"

#include <algorithm>

namespace moeshift {
namespace {

/// Worlds up to here have a table of all pairs: 6 MB at most.
constexpr std::size_t kTabledRanks = 512;

constexpr std::array kPortClasses = {LinkClass::kIntraNode, LinkClass::kInterNode,
                                     LinkClass::kInterRack};

Traffic& operator+=(Traffic& sum, const Traffic& more) {
  sum.messages += more.messages;
  sum.experts += more.experts;
  sum.bytes += more.bytes;
  return sum;
}

}  // namespace

GroupPricer::GroupPricer(const TransferPlan& plan, const Topology& topology, const Cluster& cluster,
                         double share, Seconds per_operation)
    : sizes_(plan.sizes),
      messages_per_expert_(plan.messages_per_expert),
      chunk_bytes_(plan.chunk_bytes),
      topology_(topology),
      cluster_(cluster),
      share_(share),
      per_operation_(per_operation),
      operations_(topology.ranks(), 0),
      pairs_(topology.ranks() > kTabledRanks ? 0 : topology.ranks() * topology.ranks()),
      fabric_(topology.nodes()) {
  for (LinkTraffic& link : links_) {
    link.egress.resize(topology.ranks());
    link.ingress.resize(topology.ranks());
    link.node_egress.resize(topology.nodes());
    link.node_ingress.resize(topology.nodes());
  }
}

Traffic& GroupPricer::pair(RankId source, RankId destination) {
  const std::uint64_t key = std::uint64_t{source.index()} * topology_.ranks() + destination.index();
  return pairs_.empty() ? pairs_of_many_[key] : pairs_[key];
}

void GroupPricer::add(std::size_t layer, std::span<const Transfer> transfers) {
  for (const Transfer& transfer : transfers) {
    Traffic& sent = pair(transfer.source, transfer.destination);
    if (sent.experts++ == 0) touched_.emplace_back(transfer.source, transfer.destination);
    sent.bytes += sizes_(LayerId(layer), transfer.expert);
  }
}

std::int64_t GroupPricer::messages_of(const Traffic& traffic) const {
  if (messages_per_expert_ > 0) return traffic.experts * std::int64_t{messages_per_expert_};
  if (chunk_bytes_.count() == 0) return singly() ? traffic.experts : 1;
  const std::int64_t chunks =
      (traffic.bytes.count() + chunk_bytes_.count() - 1) / chunk_bytes_.count();
  return singly() ? std::max(traffic.experts, chunks) : chunks;
}

void GroupPricer::add_message(LinkClass link, RankId source, RankId destination, Traffic traffic) {
  const auto index = static_cast<std::size_t>(link);
  LinkTraffic& ports = links_[index];
  ports.used = true;
  ports.egress[source.index()] += traffic;
  ports.ingress[destination.index()] += traffic;
  const NodeId from = topology_.node_of(source);
  const NodeId to = topology_.node_of(destination);
  ports.node_egress[from.index()] += traffic;
  ports.node_ingress[to.index()] += traffic;
  Traffic& most = busiest_pair_[index];
  most = {std::max(most.messages, traffic.messages), std::max(most.experts, traffic.experts),
          std::max(most.bytes, traffic.bytes)};
  fabric_[from.index()] += traffic;
  if (to != from) fabric_[to.index()] += traffic;
}

Seconds GroupPricer::busiest(std::span<const Traffic> traffic, Seconds per_message,
                             BytesPerSecond capacity) const {
  Seconds longest;
  for (const Traffic& t : traffic) {
    const BytesPerSecond available = capacity * share_;
    longest =
        std::max(longest, per_message * static_cast<double>(t.messages) + t.bytes / available);
  }
  return longest;
}

Seconds GroupPricer::class_time(LinkClass link_class) const {
  const auto index = static_cast<std::size_t>(link_class);
  const LinkTraffic& ports = links_[index];
  if (!ports.used) return {};
  const LinkParameters& link = cluster_.link(link_class);
  const Seconds each = link.per_message;
  Seconds slowest = std::max({busiest(std::span(&busiest_pair_[index], 1), each, link.pair),
                              busiest(ports.egress, each, link.egress),
                              busiest(ports.ingress, each, link.ingress)});
  if (link.node_egress) {
    slowest = std::max(slowest, busiest(ports.node_egress, each, *link.node_egress));
  }
  if (link.node_ingress) {
    slowest = std::max(slowest, busiest(ports.node_ingress, each, *link.node_ingress));
  }
  return link.latency + slowest;
}

Seconds GroupPricer::finish() {
  if (touched_.empty()) return {};
  for (const auto& [source, destination] : touched_) {
    Traffic& sent = pair(source, destination);
    sent.messages = messages_of(sent);
    add_message(topology_.link(source, destination), source, destination, sent);
    operations_[source.index()] += sent.messages;
    operations_[destination.index()] += sent.messages;
    sent = {};
  }
  touched_.clear();
  pairs_of_many_.clear();
  const auto operations = *std::max_element(operations_.begin(), operations_.end());
  std::fill(operations_.begin(), operations_.end(), 0);
  Seconds slowest;
  for (const LinkClass link : kPortClasses) slowest = std::max(slowest, class_time(link));
  if (cluster_.node_fabric) {
    slowest = std::max(slowest,
                       busiest(fabric_, cluster_.node_fabric_per_message, *cluster_.node_fabric));
  }
  for (LinkTraffic& link : links_) {
    for (auto* traffic : {&link.egress, &link.ingress, &link.node_egress, &link.node_ingress}) {
      std::fill(traffic->begin(), traffic->end(), Traffic{});
    }
    link.used = false;
  }
  std::fill(fabric_.begin(), fabric_.end(), Traffic{});
  busiest_pair_ = {};
  return per_operation_ * static_cast<double>(operations) + cluster_.fixed.launch + slowest;
}

}  // namespace moeshift
