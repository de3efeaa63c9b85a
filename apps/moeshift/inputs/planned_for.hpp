// SPDX-License-Identifier: Apache-2.0
// What a command plans for: machine, model, groups and layers, read once and in agreement.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

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
  TraceHeader trace;
  std::optional<Cluster> cluster;
  std::optional<MoeModel> model;  ///< of its layers those that the trace holds
  Topology topology;
  std::size_t slots = 0;
  std::size_t expert_groups = 1;  ///< divides the experts

  /// Experts per token as the trace says, else the model, else 1.
  [[nodiscard]] std::size_t top_k() const;
  /// Of the trace's layers; nothing without a model.
  [[nodiscard]] std::optional<ExpertSizes> expert_sizes() const;
  /// @throws InputError unless both machine and model are given, naming `option`, which needs them.
  void need_machine_and_model(const std::string& option, const std::string& why) const;
};

/// Nodes as --nodes says, else as the cluster has them, else one. Groups as --groups says, else the
/// model, else the trace, else 1. A trace may hold some of the model's layers, if it names them.
/// @throws InputError when model and trace disagree on experts or layers, the groups do not divide
///         the experts, or the shape is of nothing.
[[nodiscard]] PlannedFor read_planned_for(Session& session, const PlanShape& shape,
                                          const TraceHeader& trace);

/// The placement of a file for the layers and experts of the trace.
/// @param ranks must agree with what the file says. @param likely_ranks where it says nothing.
/// @throws InputError when it is of another number of layers or experts.
[[nodiscard]] Placement read_placement_for(Session& session, const std::string& path,
                                           const TraceHeader& trace,
                                           std::optional<std::size_t> ranks,
                                           std::optional<std::size_t> likely_ranks = {});

}  // namespace moeshift::cli
