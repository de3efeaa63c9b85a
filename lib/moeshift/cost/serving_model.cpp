// SPDX-License-Identifier: Apache-2.0
#include "moeshift/cost/serving_model.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "moeshift/core/error.hpp"
#include "moeshift/cost/rank_speed.hpp"

namespace moeshift {
namespace {

constexpr std::array kPortClasses = {LinkClass::kIntraNode, LinkClass::kInterNode,
                                     LinkClass::kInterRack};

}  // namespace

/// Copies that arrive, per class of link.
struct ServingModel::Traffic {
  std::array<double, kLinkClasses> busiest_rank{};
  std::array<double, kLinkClasses> busiest_node{};
  double busiest_fabric = 0;

  void add_node(const std::array<double, kLinkClasses>& arriving, double through_fabric) {
    for (std::size_t link = 2; link < kLinkClasses; ++link) {
      busiest_node[link] = std::max(busiest_node[link], arriving[link]);
    }
    busiest_fabric = std::max(busiest_fabric, through_fabric);
  }
};

ServingModel::ServingModel(const ServingParameters& parameters, const Cluster& cluster,
                           const Topology& topology, std::size_t top_k,
                           std::span<const double> rank_speed)
    : parameters_(parameters),
      node_fabric_(cluster.node_fabric),
      topology_(topology),
      top_k_(top_k),
      rank_speed_(relative_speeds(rank_speed, topology.ranks())),
      serving_(topology.ranks()) {
  MOESHIFT_CHECK(top_k >= 1);
  for (const LinkClass link : kPortClasses) {
    links_[static_cast<std::size_t>(link)] = cluster.link(link);
  }
  for (const RankId rank : all_ids<RankId>(topology.ranks())) {
    node_of_.push_back(topology.node_of(rank).index());
  }
  copies_between_nodes_ = copies_between(topology.nodes());
}

double ServingModel::copies_between(std::size_t nodes) const {
  if (!parameters_.once_per_node || nodes == 1) return 1;
  const auto count = static_cast<double>(nodes);
  const auto chosen = static_cast<double>(top_k_);
  return count * (1 - std::pow(1 - 1 / count, chosen)) / chosen;
}

Seconds ServingModel::per_copy(LinkClass link) const {
  const LinkParameters& port = links_[static_cast<std::size_t>(link)];
  return Seconds(parameters_.dispatch_bytes / port.ingress.count() +
                 parameters_.combine_bytes / port.egress.count());
}

/// Per pair that crosses nodes.
double ServingModel::copies_to_node(const SlotShare& slot) const {
  if (!parameters_.once_per_node) return slot.copies;
  return slot.node_copies > 0 ? slot.node_copies : copies_between_nodes_;
}

ServingModel ServingModel::among(std::size_t serving, std::size_t nodes) const {
  MOESHIFT_CHECK(serving >= 1 && serving <= topology_.ranks() && nodes >= 1);
  ServingModel model = *this;
  model.serving_ = serving;
  model.copies_between_nodes_ = copies_between(nodes);
  return model;
}

LayerTime ServingModel::layer_time(std::span<const double> load, const LayerDispatch& dispatch,
                                   const LinkContention& contention) const {
  const bool idle = std::all_of(load.begin(), load.end(), [](double pairs) { return pairs <= 0; });
  if (idle) return {};  // nothing was recorded for it: its time is in no figure
  const std::size_t ranks = topology_.ranks();
  const std::size_t per_rank = dispatch.size() / ranks;
  LayerTime time;
  Traffic traffic;
  std::array<double, kLinkClasses> node{};  // ranks are numbered node by node
  double node_fabric = 0;
  double pairs = 0;
  const SlotShare* slot = dispatch.data();
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    std::array<double, kLinkClasses> arriving{};
    double tokens = 0;
    double read = 0;
    for (const SlotShare* end = slot + per_rank; slot != end; ++slot) {
      const double expert_load = load[slot->expert];
      const double between = copies_to_node(*slot);
      for (std::size_t link = 0; link < kLinkClasses; ++link) {
        const double of_link = expert_load * slot->by_link[link];
        const bool crosses = static_cast<LinkClass>(link) > LinkClass::kIntraNode;
        tokens += of_link;
        arriving[link] += of_link * (crosses ? between : slot->copies);
        if (link > 0) node_fabric += of_link * slot->copies;
      }
      read += std::min(1.0, expert_load * slot->total());
    }
    pairs += tokens;
    const double speed = rank_speed_.empty() ? 1 : rank_speed_[rank];
    time.busiest_tokens = std::max(time.busiest_tokens, tokens / speed);
    time.compute = std::max({time.compute, parameters_.expert_per_token * (tokens / speed),
                             parameters_.expert_floor * (read / speed)});
    for (std::size_t link = 1; link < kLinkClasses; ++link) {
      traffic.busiest_rank[link] = std::max(traffic.busiest_rank[link], arriving[link]);
      node[link] += arriving[link];
    }
    if (rank + 1 < ranks && node_of_[rank + 1] == node_of_[rank]) continue;
    traffic.add_node(std::exchange(node, {}), std::exchange(node_fabric, 0));
  }
  time.mean_tokens = pairs / static_cast<double>(serving_);
  if (parameters_.measured) {
    time.compute = parameters_.measured->at(time.busiest_tokens);
    time.total = time.compute + parameters_.layer_fixed;
    return time;
  }
  time.dispatch = exchange(traffic, parameters_.dispatch_bytes, false, contention);
  time.combine = exchange(traffic, parameters_.combine_bytes, true, contention);
  const Seconds communication = time.dispatch + time.combine;
  time.total = parameters_.layer_fixed + time.compute + communication -
               std::min(time.compute, communication) * parameters_.overlap;
  return time;
}

/// Who receives most on dispatch sends most on combine: the same traffic, the other direction.
Seconds ServingModel::exchange(const Traffic& traffic, double bytes, bool out,
                               const LinkContention& contention) const {
  Seconds slowest;
  const auto at_rate = [&](double copies, BytesPerSecond rate, double taken) {
    return Seconds(copies * bytes / (rate.count() * (1 - taken)));
  };
  for (std::size_t index = 1; index < kLinkClasses; ++index) {
    if (traffic.busiest_rank[index] <= 0) continue;
    const LinkParameters& link = links_[index];
    Seconds port =
        at_rate(traffic.busiest_rank[index], out ? link.egress : link.ingress, contention[index]);
    if (const auto& cap = out ? link.node_egress : link.node_ingress) {
      port = std::max(port, at_rate(traffic.busiest_node[index], *cap, contention[index]));
    }
    slowest = std::max(slowest, link.latency + port);
  }
  if (node_fabric_ && traffic.busiest_fabric > 0) {
    const double taken = *std::max_element(contention.begin(), contention.end());
    slowest = std::max(slowest, at_rate(traffic.busiest_fabric, *node_fabric_, taken));
  }
  return slowest;
}

Seconds ServingModel::outside_layers(double pairs, std::size_t layers) const {
  const double tokens = pairs / static_cast<double>(top_k_ * serving_);
  Seconds dense = parameters_.measured
                      ? Seconds()
                      : std::max(parameters_.dense_floor, parameters_.dense_per_token * tokens);
  if (!rank_speed_.empty()) dense = dense / *std::ranges::min_element(rank_speed_);
  return parameters_.step_fixed + dense * static_cast<double>(layers);
}

std::vector<double> ServingModel::rank_tokens(std::span<const double> load,
                                              const LayerDispatch& dispatch) const {
  std::vector<double> tokens(topology_.ranks());
  const std::size_t per_rank = dispatch.size() / tokens.size();
  for (std::size_t slot = 0; slot < dispatch.size(); ++slot) {
    tokens[slot / per_rank] += load[dispatch[slot].expert] * dispatch[slot].total();
  }
  return tokens;
}

}  // namespace moeshift
