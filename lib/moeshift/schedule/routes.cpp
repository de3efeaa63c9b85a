// SPDX-License-Identifier: Apache-2.0
#include "moeshift/schedule/routes.hpp"

#include <algorithm>
#include <span>

#include "moeshift/schedule/balanced_assignment.hpp"
#include "moeshift/schedule/spread.hpp"

namespace moeshift {
namespace {

/// The arrivals of one expert in one node that does not hold it: one of them receives for all.
struct Entry {
  std::uint32_t first = 0;  ///< into the list of crossing arrivals
  std::uint32_t count = 0;
};

/// Jobs whose ports are ranks, and the slot each candidate would send from.
struct Senders {
  Candidates ranks;
  std::vector<std::uint32_t> slots;

  void add(const Holder& holder) {
    ranks.add_port(holder.rank.value());
    slots.push_back(holder.slot);
  }
  [[nodiscard]] Holder at(std::uint32_t candidate) const {
    return {RankId(ranks.ports[candidate]), slots[candidate]};
  }
};

class Router {
 public:
  Router(const LayerNeeds& needs, const Topology& topology, const RouteOptions& options)
      : needs_(needs), topology_(topology), options_(options), hops_(needs.arrivals.size()) {
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
    NodeId node = NodeId::none();
    ExpertId expert = ExpertId::none();
    bool near = false;
    for (std::uint32_t i = 0; i < hops_.size(); ++i) {
      const NodeId node_here = topology_.node_of(arrival(i).rank);
      const bool same = node_here == node && arrival(i).expert == expert;
      node = node_here;
      expert = arrival(i).expert;
      if (!same) near = node_holds(node, expert);
      if (near) {
        add_inside(i, node);
      } else {
        if (!same || !options_.fan_out) {
          crossings_.push_back({static_cast<std::uint32_t>(crossing_arrivals_.size()), 0});
        }
        crossing_arrivals_.push_back(i);
        ++crossings_.back().count;
      }
    }
  }

  bool node_holds(NodeId node, ExpertId expert) const {
    const auto holders = needs_.holders_of(expert);
    return std::any_of(holders.begin(), holders.end(), [&](const Holder& holder) {
      return topology_.node_of(holder.rank) == node;
    });
  }

  void add_inside(std::uint32_t index, NodeId node) {
    for (const Holder& holder : needs_.holders_of(arrival(index).expert)) {
      if (topology_.node_of(holder.rank) == node) near_.add(holder);
    }
    near_.ranks.end_job();
    inside_.push_back(index);
  }

  void set_source(std::uint32_t index, const Holder& holder) {
    Hop& hop = hops_[index];
    hop.source = holder.rank;
    hop.source_slot = holder.slot;
    hop.link = topology_.link(holder.rank, arrival(index).rank);
  }

  /// Of the experts that arrive; none when all are alike.
  std::vector<std::int64_t> weights_of(const std::vector<std::uint32_t>& arrivals) const {
    std::vector<std::int64_t> weights;
    if (needs_.weights.empty()) return weights;
    for (const std::uint32_t index : arrivals) {
      weights.push_back(needs_.weight(arrival(index).expert));
    }
    return weights;
  }

  /// @param loads jobs of each port; counted on.
  static std::vector<std::uint32_t> assign(const Candidates& candidates,
                                           const std::vector<std::int64_t>& weights,
                                           std::vector<std::uint32_t>& loads) {
    if (weights.empty()) return assign_balanced(candidates, loads);
    std::vector<std::uint32_t> chosen = assign_balanced_by_size(candidates, weights, loads.size());
    for (const std::uint32_t candidate : chosen) ++loads[candidates.ports[candidate]];
    return chosen;
  }

  void serve_inside_nodes() {
    std::vector<std::uint32_t> egress(topology_.ranks(), 0);
    const auto chosen = assign(near_.ranks, weights_of(inside_), egress);
    for (std::size_t job = 0; job < inside_.size(); ++job) {
      set_source(inside_[job], near_.at(chosen[job]));
    }
  }

  std::span<std::uint32_t> arrivals_of(const Entry& crossing) {
    return std::span(crossing_arrivals_).subspan(crossing.first, crossing.count);
  }

  /// True when some arrival of the crossing sits on the same rail as `rank`.
  bool on_rail(const Entry& crossing, RankId rank) {
    const auto arrivals = arrivals_of(crossing);
    return std::any_of(arrivals.begin(), arrivals.end(), [&](std::uint32_t index) {
      return place_in_node_[arrival(index).rank] == place_in_node_[rank];
    });
  }

  /// Holders in the same rack if there are any; those on the same rail first.
  void add_far_holders(const Entry& crossing, Senders& senders) {
    const Arrival& wanted = arrival(arrivals_of(crossing).front());
    const RackId rack = topology_.rack_of(wanted.rank);
    const auto holders = needs_.holders_of(wanted.expert);
    const bool in_rack = std::any_of(holders.begin(), holders.end(), [&](const Holder& holder) {
      return topology_.rack_of(holder.rank) == rack;
    });
    for (const bool aligned : {true, false}) {
      for (const Holder& holder : holders) {
        if (in_rack && topology_.rack_of(holder.rank) != rack) continue;
        if (on_rail(crossing, holder.rank) == aligned) senders.add(holder);
      }
    }
    senders.ranks.end_job();
  }

  void cross_nodes() {
    Senders senders;
    for (const Entry& crossing : crossings_) add_far_holders(crossing, senders);
    std::vector<std::uint32_t> egress(topology_.ranks(), 0);
    std::vector<std::uint32_t> firsts;  // an arrival of each crossing
    for (const Entry& crossing : crossings_) firsts.push_back(arrivals_of(crossing).front());
    const std::vector<std::int64_t> weights = weights_of(firsts);
    const auto source = assign(senders.ranks, weights, egress);

    Candidates roots;
    for (std::size_t i = 0; i < crossings_.size(); ++i) {
      const auto arrivals = arrivals_of(crossings_[i]);
      const std::uint32_t rail = place_in_node_[senders.at(source[i]).rank];
      std::stable_partition(arrivals.begin(), arrivals.end(), [&](std::uint32_t index) {
        return place_in_node_[arrival(index).rank] == rail;
      });
      for (const std::uint32_t index : arrivals) roots.add_port(arrival(index).rank.value());
      roots.end_job();
    }
    std::vector<std::uint32_t> ingress(topology_.ranks(), 0);
    const auto root = assign(roots, weights, ingress);
    for (std::size_t i = 0; i < crossings_.size(); ++i) {
      hand_on(crossings_[i], senders.at(source[i]), crossing_arrivals_[root[i]]);
    }
    if (!options_.trees || !options_.fan_out || crossings_.empty()) return;
    const auto most = [](const std::vector<std::uint32_t>& loads) {
      return *std::max_element(loads.begin(), loads.end());
    };
    std::vector<std::uint32_t> root_hops;
    for (const std::uint32_t index : root) root_hops.push_back(crossing_arrivals_[index]);
    if (topology_.racks() > 1 || most(egress) > most(ingress)) {
      grow_tree(root_hops, std::max(most(egress), most(ingress)));
    }
  }

  /// Replaces the sources of the crossings by a tree where that is worth its groups.
  void grow_tree(const std::vector<std::uint32_t>& root_hops, std::size_t rounds) {
    std::vector<Crossing> crossings;
    std::size_t rack_crossings = 0;
    for (const std::uint32_t hop : root_hops) {
      crossings.push_back({arrival(hop).expert, arrival(hop).rank});
      rack_crossings += hops_[hop].link == LinkClass::kInterRack ? 1U : 0U;
    }
    const CrossingTree tree = spread(crossings, needs_, topology_);
    const bool shorter = tree.rounds + tree.groups - 1 < rounds;
    if (tree.rack_crossings >= rack_crossings && !shorter) return;
    for (std::size_t i = 0; i < root_hops.size(); ++i) {
      const CrossingStep& step = tree.steps[i];
      set_source(root_hops[i], step.source);
      hops_[root_hops[i]].round = step.round;
      if (step.after != CrossingStep::kLive) hops_[root_hops[i]].after = root_hops[step.after];
    }
  }

  /// The root receives from afar, the other ranks of its node from the root.
  void hand_on(const Entry& crossing, const Holder& source, std::uint32_t root) {
    set_source(root, source);
    for (const std::uint32_t index : arrivals_of(crossing)) {
      if (index == root) continue;
      set_source(index, Holder{arrival(root).rank, 0});
      hops_[index].after = root;
    }
  }

  const LayerNeeds& needs_;
  const Topology& topology_;
  const RouteOptions& options_;
  IdVector<RankId, std::uint32_t> place_in_node_;
  std::vector<Hop> hops_;
  std::vector<std::uint32_t> inside_;             ///< arrivals served inside their node
  Senders near_;                                  ///< the holders in the node of each of them
  std::vector<std::uint32_t> crossing_arrivals_;  ///< all others, crossing after crossing
  std::vector<Entry> crossings_;
};

}  // namespace

std::vector<Hop> choose_routes(const LayerNeeds& needs, const Topology& topology,
                               const RouteOptions& options) {
  return Router(needs, topology, options).route();
}

}  // namespace moeshift
