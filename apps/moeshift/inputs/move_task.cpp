// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/inputs/move_task.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"

#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/inputs/placement_file.hpp"

namespace moeshift::cli {
namespace {

Placement read(Session& session, const std::string& path, const PlacementHints& hints,
               const MoeModel& model) {
  Placement placement = read_placement_file(session, path, hints).placement;
  if (placement.layers() == model.num_layers && placement.experts() == model.num_experts) {
    return placement;
  }
  throw InputError(Session::name_of_input(path),
                   fmt::format("expected the {} layers and {} experts of model {}, found {} and {}",
                               model.num_layers, model.num_experts, model.name, placement.layers(),
                               placement.experts()));
}

}  // namespace

void MoveTaskOptions::declare(Options& options) {
  options.positional("OLD", old_path, "where the experts are: a plan or any placement file");
  options.positional("NEW", new_path, "where they shall be");
  options.option("--cluster", cluster, "machine: a name of `moeshift clusters` or a file");
  options.require_last();
  options.option("--model", model, "model: a name of `moeshift models` or a file");
  options.require_last();
  options.option("--ranks", ranks, "ranks, for files that do not say how many");
  options.option("--nodes", nodes, "nodes that the ranks sit in; default: as the cluster says");
}

MoveTask MoveTaskOptions::load(Session& session) const {
  MoeModel loaded_model = session.load_model(model);
  Cluster loaded_cluster = session.load_cluster(cluster);
  const PlacementHints hints{.num_experts = loaded_model.num_experts, .num_ranks = ranks};
  Placement old = read(session, old_path, hints, loaded_model);
  Placement next = read(session, new_path, hints, loaded_model);
  Topology topology = loaded_cluster.topology(std::max(old.ranks(), next.ranks()), nodes);
  return {std::move(old), std::move(next), std::move(loaded_model), std::move(loaded_cluster),
          std::move(topology)};
}

}  // namespace moeshift::cli
