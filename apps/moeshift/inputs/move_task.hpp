// SPDX-License-Identifier: Apache-2.0
// What the commands that move experts have in common: two placements, a machine, a model.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "moeshift/model/cluster.hpp"
#include "moeshift/model/moe_model.hpp"
#include "moeshift/model/placement.hpp"
#include "moeshift/model/topology.hpp"

#include "apps/moeshift/cli/command.hpp"

namespace moeshift::cli {

/// Everything a rearrangement starts from.
struct MoveTask {
  Placement old;
  Placement next;
  MoeModel model;
  Cluster cluster;
  Topology topology;  ///< of the larger of the two worlds
};

/// The options OLD NEW --cluster --model [--ranks] [--nodes].
struct MoveTaskOptions {
  std::string old_path;
  std::string new_path;
  std::string cluster;
  std::string model;
  std::optional<std::size_t> ranks;
  std::optional<std::size_t> nodes;

  void declare(Options& options);
  /// @throws InputError when placements and model disagree on layers or experts.
  [[nodiscard]] MoveTask load(Session& session) const;
};

}  // namespace moeshift::cli
