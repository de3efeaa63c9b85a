// SPDX-License-Identifier: Apache-2.0
// Which nodes are home to which expert groups.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "moeshift/plan/layer_problem.hpp"

namespace moeshift {

/// Homes of every expert, and how its replicas share them.
struct GroupHomes {
  /// [nodes, experts] slots of the node that this expert's group may use; 0 = not its home.
  std::vector<std::uint8_t> home;
  std::size_t experts = 0;
  /// True when every group lies in one node: nodes are problems of their own.
  bool whole_groups = true;
  /// No placement that keeps every group in its node has a lower peak (0 when groups are split).
  double lower_bound = 0;

  [[nodiscard]] bool at_home(std::size_t node, std::size_t expert) const {
    return home[node * experts + expert] != 0;
  }
};

/// Groups of consecutive experts to nodes so that the busiest node, per rank, has the least load.
///
/// Exact branch and bound up to 16 groups and 200,000 nodes of the search tree, largest-first
/// beyond. When groups cannot lie whole in nodes (fewer groups than nodes, or too large for a
/// node's slots), each gets a quota of slots (Adams' method, at least its size) and the groups are
/// laid along the nodes one after another, so that at most nodes - 1 of them are split.
[[nodiscard]] GroupHomes home_groups(const LayerProblem& problem, std::span<const double> load);

}  // namespace moeshift
