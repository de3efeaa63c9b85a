// SPDX-License-Identifier: Apache-2.0
#include "moeshift/schedule/routes.hpp"

#include <algorithm>

#include "moeshift/schedule/balanced_assignment.hpp"

namespace moeshift {
namespace {

using Candidates = std::vector<std::vector<Holder>>;

/// The arrivals of one expert in one node that does not hold it: one of them receives for all.
struct Crossing {
  ExpertId expert;
  std::vector<std::uint32_t> arrivals;  ///< by rank
};

std::vector<std::vector<std::uint32_t>> ports_of(const Candidates& candidates) {
  std::vector<std::vector<std::uint32_t>> ports(candidates.size());
  for (std::size_t job = 0; job < candidates.size(); ++job) {
    for (const Holder& holder : candidates[job]) ports[job].push_back(holder.rank.value());
  }
  return ports;
}

class Router {
 public:
  Router(const LayerNeeds& needs, const Topology& topology)
      : needs_(needs), topology_(topology), hops_(needs.arrivals.size()) {
    place_in_node_.assign(topology.ranks(), 0);
    std::vector<std::uint32_t> seen(topology.nodes(), 0);
    for (const RankId rank : all_ids<RankId>(topology.ranks())) {
      place_in_node_[rank] = seen[topology.node_of(rank).index()]++;
    }
  }

  std::vector<Hop> route() {
    for (std::uint32_t i = 0; i < hops_.size(); ++i) hops_[i].arrival = i;
    sort_arrivals();
    serve_inside_nodes();
    cross_nodes();
    return std::move(hops_);
  }

 private:
  const Arrival& arrival(std::uint32_t index) const { return needs_.arrivals[index]; }

  /// Splits the arrivals into those whose node holds the expert and one crossing per other node.
  void sort_arrivals() {
    for (std::uint32_t i = 0; i < hops_.size(); ++i) {
      const Arrival& wanted = arrival(i);
      const NodeId node = topology_.node_of(wanted.rank);
      std::vector<Holder> near = holders_where(
          wanted.expert, [&](RankId rank) { return topology_.node_of(rank) == node; });
      if (!near.empty()) {
        inside_.push_back(i);
        near_holders_.push_back(std::move(near));
      } else if (!crossings_.empty() && crossings_.back().expert == wanted.expert &&
                 topology_.node_of(arrival(crossings_.back().arrivals.front()).rank) == node) {
        crossings_.back().arrivals.push_back(i);
      } else {
        crossings_.push_back({wanted.expert, {i}});
      }
    }
  }

  template <class Predicate>
  std::vector<Holder> holders_where(ExpertId expert, Predicate keep) const {
    std::vector<Holder> kept;
    for (const Holder& holder : needs_.holders[expert]) {
      if (keep(holder.rank)) kept.push_back(holder);
    }
    return kept;
  }

  void set_source(std::uint32_t arrival_index, const Holder& holder) {
    Hop& hop = hops_[arrival_index];
    hop.source = holder.rank;
    hop.source_slot = holder.slot;
    hop.link = topology_.link(holder.rank, arrival(arrival_index).rank);
  }

  void serve_inside_nodes() {
    std::vector<std::uint32_t> egress(topology_.ranks(), 0);
    const auto chosen = assign_balanced(ports_of(near_holders_), egress);
    for (std::size_t job = 0; job < inside_.size(); ++job) {
      set_source(inside_[job], near_holders_[job][chosen[job]]);
    }
  }

  std::vector<Holder> far_holders(const Crossing& crossing) const {
    const RackId rack = topology_.rack_of(arrival(crossing.arrivals.front()).rank);
    std::vector<Holder> holders = holders_where(
        crossing.expert, [&](RankId rank) { return topology_.rack_of(rank) == rack; });
    if (holders.empty()) holders = needs_.holders[crossing.expert];
    std::stable_partition(holders.begin(), holders.end(), [&](const Holder& holder) {
      return std::any_of(
          crossing.arrivals.begin(), crossing.arrivals.end(), [&](std::uint32_t index) {
            return place_in_node_[arrival(index).rank] == place_in_node_[holder.rank];
          });
    });
    return holders;
  }

  void cross_nodes() {
    Candidates sources;
    for (const Crossing& crossing : crossings_) sources.push_back(far_holders(crossing));
    std::vector<std::uint32_t> egress(topology_.ranks(), 0);
    const auto source = assign_balanced(ports_of(sources), egress);

    std::vector<std::vector<std::uint32_t>> roots(crossings_.size());
    for (std::size_t i = 0; i < crossings_.size(); ++i) {
      auto& arrivals = crossings_[i].arrivals;
      const std::uint32_t rail = place_in_node_[sources[i][source[i]].rank];
      std::stable_partition(arrivals.begin(), arrivals.end(), [&](std::uint32_t index) {
        return place_in_node_[arrival(index).rank] == rail;
      });
      for (const std::uint32_t index : arrivals) roots[i].push_back(arrival(index).rank.value());
    }
    std::vector<std::uint32_t> ingress(topology_.ranks(), 0);
    const auto root = assign_balanced(roots, ingress);
    for (std::size_t i = 0; i < crossings_.size(); ++i) {
      hand_on(crossings_[i], sources[i][source[i]], crossings_[i].arrivals[root[i]]);
    }
  }

  /// The root receives from afar, the other ranks of its node from the root.
  void hand_on(const Crossing& crossing, const Holder& source, std::uint32_t root) {
    set_source(root, source);
    for (const std::uint32_t index : crossing.arrivals) {
      if (index == root) continue;
      set_source(index, Holder{arrival(root).rank, 0});
      hops_[index].after = root;
    }
  }

  const LayerNeeds& needs_;
  const Topology& topology_;
  IdVector<RankId, std::uint32_t> place_in_node_;
  std::vector<Hop> hops_;
  std::vector<std::uint32_t> inside_;  ///< arrivals served inside their node
  Candidates near_holders_;            ///< of each of them
  std::vector<Crossing> crossings_;
};

}  // namespace

std::vector<Hop> choose_routes(const LayerNeeds& needs, const Topology& topology) {
  return Router(needs, topology).route();
}

}  // namespace moeshift
