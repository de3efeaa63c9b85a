// SPDX-License-Identifier: Apache-2.0
// Who sends each arriving expert: sources, node crossings and fan-out.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "moeshift/model/topology.hpp"
#include "moeshift/schedule/layer_needs.hpp"

namespace moeshift {

/// One expert sent from one rank to another.
struct Hop {
  static constexpr std::uint32_t kLive = std::numeric_limits<std::uint32_t>::max();
  static constexpr std::uint32_t kAnyRound = std::numeric_limits<std::uint32_t>::max();

  std::uint32_t arrival = 0;  ///< index into LayerNeeds::arrivals: what arrives, and where
  RankId source;
  std::uint32_t source_slot = 0;    ///< live slot of the source, when `after` is kLive
  std::uint32_t after = kLive;      ///< the hop whose staging buffer this one reads
  std::uint32_t round = kAnyRound;  ///< of a crossing that is part of a tree
  LinkClass link = LinkClass::kIntraNode;

  [[nodiscard]] bool relayed() const { return after != kLive; }
};

/// Which of our ways to use; all of them unless their worth is to be found out.
struct RouteOptions {
  bool fan_out = true;  ///< one crossing per node and expert, handed on inside
  bool trees = true;    ///< who received an expert may send it to a further node or rack
};

/// Chooses one hop per arrival, in the order of the arrivals.
///
/// A node that holds an expert serves its own ranks. Any other node receives the expert once, from
/// its own rack if that holds it, and hands it on inside: the fewest node crossings possible.
/// Egress of each port class is balanced exactly over the holders, ingress of crossings over the
/// ranks that need the expert; among equals the rank in the same position of its node (the same
/// rail) is preferred, then the lower one. Where a tree (see spread.hpp) enters fewer racks, or
/// saves more rounds than it adds groups, all crossings follow it and have their rounds fixed.
/// Every arrival must have a holder.
[[nodiscard]] std::vector<Hop> choose_routes(const LayerNeeds& needs, const Topology& topology,
                                             const RouteOptions& options = {});

}  // namespace moeshift
