// SPDX-License-Identifier: Apache-2.0
// What a command plans for: machine, model, groups and layers, read once and in agreement.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "moeshift/formats/placement_format.hpp"
#include "moeshift/model/cluster.hpp"
#include "moeshift/model/expert_sizes.hpp"
#include "moeshift/model/load.hpp"
#include "moeshift/model/moe_model.hpp"
#include "moeshift/model/placement.hpp"
#include "moeshift/model/topology.hpp"

#include "apps/moeshift/inputs/plan_shape.hpp"

namespace moeshift::cli {

class Session;

/// The one answer to what is planned for; every command that reads a trace asks for it.
struct PlannedFor {
  TraceHeader trace;  ///< its layers have the model's own numbers, where trace or model say them
  std::optional<Cluster> cluster;
  std::optional<MoeModel> model;  ///< of its layers those that the trace holds
  Topology topology;
  std::size_t slots = 0;
  std::size_t expert_groups = 1;  ///< as stated; policies that use groups ask that they divide
  std::vector<double> rank_speed = {};  ///< [ranks], or empty: all alike
  PlannedWorld world =
      {};  ///< what cluster and model were called, and the nodes that anything says

  /// Experts per token as the trace says, else the model, else 1.
  [[nodiscard]] std::size_t top_k() const;
  /// Of the trace's layers; nothing without a model.
  [[nodiscard]] std::optional<ExpertSizes> expert_sizes() const;
  /// @throws InputError unless both machine and model are given, naming `option`, which needs them.
  void need_machine_and_model(const std::string& option, const std::string& why) const;
};

/// `shape` with what the plan in `path` remembers, where the command line says nothing: ranks,
/// slots, cluster, model, and the nodes where ranks are the plan's and the cluster is no other.
/// What was taken is said in a line.
/// @param ranks of the file, where it does not say them and they are not those of `shape`.
/// @throws InputError when the file cannot be read.
[[nodiscard]] PlanShape with_plan(Session& session, PlanShape shape,
                                  const std::optional<std::string>& path,
                                  std::optional<std::size_t> ranks = {});

/// Nodes as --nodes says, else as the cluster has them, else one. Groups as --groups says, else the
/// model, else the trace, else 1. A trace may hold some of the model's layers, if it names them.
/// @throws InputError when model and trace disagree on experts or layers, there are more groups
/// than
///         experts, or the shape is of nothing.
[[nodiscard]] PlannedFor read_planned_for(Session& session, const PlanShape& shape,
                                          const TraceHeader& trace);

/// The placement of a file for the layers and experts of the trace.
/// @param ranks as the user says of this file; a contradiction with it is an error.
/// @param likely_ranks where neither says how many.
/// @throws InputError when it is of another number of layers or experts, or its layers have other
///         numbers.
[[nodiscard]] Placement read_placement_for(Session& session, const std::string& path,
                                           const TraceHeader& trace,
                                           std::optional<std::size_t> ranks,
                                           std::optional<std::size_t> likely_ranks = {});

/// The same of a placement that is read already: its rows in the order of the trace's layers.
/// @param name what errors call it.
[[nodiscard]] Placement placement_for(PlacementFile file, const TraceHeader& trace,
                                      const std::string& name);

}  // namespace moeshift::cli
