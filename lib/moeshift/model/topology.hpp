// SPDX-License-Identifier: Apache-2.0
// Who sits where: ranks in nodes, nodes in racks.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "moeshift/core/id_vector.hpp"
#include "moeshift/core/ids.hpp"

namespace moeshift {

/// How far a byte travels, from near to far. The order is the order of preference.
enum class LinkClass { kLocal, kIntraNode, kInterNode, kInterRack };
inline constexpr std::size_t kLinkClasses = 4;

/// "local", "intra_node", "inter_node", "inter_rack": the names used in files and tables.
[[nodiscard]] std::string_view name_of(LinkClass link);

/// The tree of ranks, nodes and racks. Ranks are numbered node by node, nodes rack by rack.
class Topology {
 public:
  /// `ranks` spread over `nodes` as evenly as they go (the first ones take one more), `nodes` over
  /// `racks` likewise.
  /// @throws InputError unless 1 <= racks <= nodes <= ranks.
  Topology(std::size_t ranks, std::size_t nodes, std::size_t racks = 1);

  [[nodiscard]] std::size_t ranks() const { return node_of_.size(); }
  [[nodiscard]] std::size_t nodes() const { return rack_of_.size(); }
  [[nodiscard]] std::size_t racks() const { return racks_; }

  [[nodiscard]] NodeId node_of(RankId rank) const { return node_of_[rank]; }
  [[nodiscard]] RackId rack_of(NodeId node) const { return rack_of_[node]; }
  [[nodiscard]] RackId rack_of(RankId rank) const { return rack_of_[node_of_[rank]]; }
  /// The ranks of a node, ascending.
  [[nodiscard]] std::vector<RankId> ranks_of(NodeId node) const;
  /// True when every node has the same number of ranks.
  [[nodiscard]] bool even() const { return ranks() % nodes() == 0; }

  [[nodiscard]] LinkClass link(RankId from, RankId to) const;

  bool operator==(const Topology&) const = default;

 private:
  IdVector<RankId, NodeId> node_of_;
  IdVector<NodeId, RackId> rack_of_;
  std::size_t racks_ = 1;
};

}  // namespace moeshift
