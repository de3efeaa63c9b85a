// SPDX-License-Identifier: Apache-2.0
#include "moeshift/model/topology.hpp"

#include <array>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/core/number_text.hpp"

namespace moeshift {
namespace {

/// parent of each of `count` children spread over `parents`, the first parents taking one more.
template <class ChildId, class ParentId>
IdVector<ChildId, ParentId> spread(std::size_t count, std::size_t parents) {
  IdVector<ChildId, ParentId> parent_of(count);
  const std::size_t base = count / parents;
  const std::size_t larger = count % parents;
  std::size_t child = 0;
  for (std::size_t parent = 0; parent < parents; ++parent) {
    const std::size_t size = base + (parent < larger ? 1 : 0);
    for (std::size_t i = 0; i < size; ++i) parent_of[ChildId(child++)] = ParentId(parent);
  }
  return parent_of;
}

}  // namespace

std::string_view name_of(LinkClass link) {
  static constexpr std::array<std::string_view, kLinkClasses> kNames = {"local", "intra_node",
                                                                        "inter_node", "inter_rack"};
  return kNames[static_cast<std::size_t>(link)];
}

Topology::Topology(std::size_t ranks, std::size_t nodes, std::size_t racks) : racks_(racks) {
  if (racks < 1 || nodes < racks || ranks < nodes) {
    throw InputError("", fmt::format("{} cannot be spread over {} in {}", counted(ranks, "rank"),
                                     counted(nodes, "node"), counted(racks, "rack")));
  }
  node_of_ = spread<RankId, NodeId>(ranks, nodes);
  rack_of_ = spread<NodeId, RackId>(nodes, racks);
}

std::vector<RankId> Topology::ranks_of(NodeId node) const {
  std::vector<RankId> ranks;
  for (const RankId rank : node_of_.ids()) {
    if (node_of_[rank] == node) ranks.push_back(rank);
  }
  return ranks;
}

LinkClass Topology::link(RankId from, RankId to) const {
  if (from == to) return LinkClass::kLocal;
  if (node_of(from) == node_of(to)) return LinkClass::kIntraNode;
  return rack_of(from) == rack_of(to) ? LinkClass::kInterNode : LinkClass::kInterRack;
}

}  // namespace moeshift
