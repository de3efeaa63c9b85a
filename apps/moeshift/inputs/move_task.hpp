// SPDX-License-Identifier: Apache-2.0
// What the commands that move experts have in common: two placements, a machine, a model.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "moeshift/formats/placement_format.hpp"
#include "moeshift/model/cluster.hpp"
#include "moeshift/model/moe_model.hpp"
#include "moeshift/model/placement.hpp"
#include "moeshift/model/topology.hpp"
#include "moeshift/model/transfer_plan.hpp"

#include "apps/moeshift/cli/command.hpp"

namespace moeshift::cli {

/// Everything a rearrangement starts from.
struct MoveTask {
  Placement old;
  Placement next;
  MoeModel model;
  Cluster cluster;
  Topology topology;                         ///< of the larger of the two worlds
  std::vector<std::int64_t> layer_ids = {};  ///< the model's own numbers, [layers]
};

/// Gives the layers of `plan`, the first of which is layer `first` of the task, the numbers that
/// they have in the model, and the plan its new hash.
void number_layers(TransferPlan& plan, const MoveTask& task, std::size_t first = 0);

/// What `side` (OLD, NEW) states of its layers and its model, against the model that is given.
/// @throws InputError on --model
void check_model_of(Session& session, const std::string& side, const PlacementFile& file,
                    const MoeModel& model);

/// The options OLD NEW [--cluster] [--model] [--ranks] [--nodes]: a plan file remembers what it was
/// made for.
struct MoveTaskOptions {
  std::string old_path;
  std::string new_path;
  std::optional<std::string> cluster;
  std::optional<std::string> model;
  std::optional<std::size_t> ranks;
  std::optional<std::size_t> nodes;

  void declare(Options& options);
  /// @throws InputError when placements and model disagree on layers or experts, or nothing says
  ///         which machine or model is meant.
  [[nodiscard]] MoveTask load(Session& session) const;
  /// The same of placements that were read already; the paths are only what errors call them.
  /// @param given the model, where it was loaded already.
  [[nodiscard]] MoveTask between(Session& session, PlacementFile old, PlacementFile next,
                                 std::optional<MoeModel> given = {}) const;
};

}  // namespace moeshift::cli
