// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/inputs/move_task.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"

#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/inputs/model_agreement.hpp"
#include "apps/moeshift/inputs/model_layers.hpp"
#include "apps/moeshift/inputs/placement_file.hpp"

namespace moeshift::cli {
namespace {

using Ids = std::vector<std::int64_t>;

/// What the option says, else NEW, else OLD.
std::string remembered(const std::optional<std::string>& option, const char* name,
                       const std::optional<std::string>& next,
                       const std::optional<std::string>& old) {
  if (option) return *option;
  if (next && old && *next != *old) {
    throw InputError(name,
                     fmt::format("OLD was planned for {}, NEW for {}: say which", *old, *next));
  }
  if (next) return *next;
  if (old) return *old;
  throw InputError(name, fmt::format("neither OLD nor NEW says what it was planned for: add {} "
                                     "(`moeshift {}s` lists them)",
                                     name, name + 2));
}

/// The numbers of the layers: of the files, which must agree, else nothing.
Ids agreed_ids(const PlacementFile& old, const PlacementFile& next) {
  if (old.layer_ids.empty()) return next.layer_ids;
  if (next.layer_ids.empty() || next.layer_ids == old.layer_ids) return old.layer_ids;
  throw InputError("", fmt::format("OLD has layers {} to {}, NEW {} to {}, by their numbers in the "
                                   "model",
                                   old.layer_ids.front(), old.layer_ids.back(),
                                   next.layer_ids.front(), next.layer_ids.back()));
}

/// How OLD or NEW is called, and where it lies.
struct Side {
  std::string name;
  std::string path;
};

/// The placement of one side. What its file does not say (ranks, experts, the layers of a list) is
/// as the other side says, in a line.
PlacementFile read_side(Session& session, const Side& side, const Side& other,
                        const PlacementHints& hints) {
  try {
    return read_placement_file(session, side.path, hints, "--ranks", side.name);
  } catch (const InputError&) {
    PlacementHints more = hints;
    std::optional<PlacementFile> known;
    try {
      known = read_placement_file(session, other.path, hints, "--ranks", other.name);
    } catch (const InputError&) {
      // What is wrong with this side comes first.
    }
    if (!known) return read_placement_file(session, side.path, hints, "--ranks", side.name);
    more.likely_ranks = known->placement.ranks();
    if (!more.num_layers) more.num_layers = known->placement.layers();
    if (more.layer_ids.empty()) more.layer_ids = known->layer_ids;
    more.likely_experts = known->placement.experts();
    PlacementFile file = read_placement_file(session, side.path, more, "--ranks", side.name);
    session.mention(fmt::format("moeshift: {}: {} ranks as {} says", side.name,
                                file.placement.ranks(), other.name));
    return file;
  }
}

/// The model, cut to the layers that the plans have.
MoeModel fitted(const MoeModel& given, const Ids& ids) {
  const MoeModel model = with_drafts(given, ids);
  const bool named = !ids.empty() && std::all_of(ids.begin(), ids.end(), [&](std::int64_t id) {
    return has_layer(model, id);
  });
  return named ? with_layers(model, ids) : model;
}

void check(const std::string& path, const Placement& placement, const MoeModel& model) {
  if (placement.layers() == model.num_layers && placement.experts() == model.num_experts) return;
  throw InputError(Session::name_of_input(path),
                   fmt::format("expected the {} layers and {} experts of model {}, found {} and {}",
                               model.num_layers, model.num_experts, model.name, placement.layers(),
                               placement.experts()));
}

/// As many ranks in other nodes are another machine: nobody knows which links the experts take.
void check_nodes(const PlacementFile& old, const PlacementFile& next) {
  if (!old.world.nodes || !next.world.nodes || old.world.nodes == next.world.nodes) return;
  if (old.placement.ranks() != next.placement.ranks()) return;
  throw InputError("--nodes", fmt::format("OLD was planned for {} ranks in {} node{}, NEW in {}: "
                                          "say which",
                                          old.placement.ranks(), *old.world.nodes,
                                          *old.world.nodes > 1 ? "s" : "", *next.world.nodes));
}

/// The nodes that the larger of the two worlds was planned on; of another machine nothing is known.
/// @throws InputError where both are as large and on other nodes.
std::optional<std::size_t> nodes_of(const PlacementFile& old, const PlacementFile& next,
                                    bool same_cluster) {
  if (!same_cluster) return {};
  check_nodes(old, next);
  const std::size_t ranks = std::max(old.placement.ranks(), next.placement.ranks());
  if (next.placement.ranks() == ranks && next.world.nodes) return next.world.nodes;
  return old.placement.ranks() == ranks ? old.world.nodes : std::nullopt;
}

}  // namespace

void number_layers(TransferPlan& plan, const MoveTask& task, std::size_t first) {
  for (std::size_t i = 0; i < plan.layers.size(); ++i) {
    plan.layers[i].layer = LayerId(task.layer_ids[first + i]);
  }
  plan.hash = content_hash(plan);
}

void check_model_of(Session& session, const std::string& side, const PlacementFile& file,
                    const MoeModel& model) {
  if (file.placement.experts() != model.num_experts) return;  // told with the layers
  check_layers_of(session, model, {side, file.layer_ids, file.num_hidden_layers});
  if (file.world.model) mention_other_model(session, side, *file.world.model, model.name);
}

void MoveTaskOptions::declare(Options& options) {
  options.positional("OLD", old_path, "where the experts are: a plan or any placement file");
  options.positional("NEW", new_path, "where they shall be");
  options.option("--cluster", cluster,
                 "machine: a name of `moeshift clusters` or a file; default: as the plans say");
  options.option("--model", model,
                 "model: a name of `moeshift models` or a file; default: as the plans say");
  options.option("--ranks", ranks, "ranks, for files that do not say how many");
  options.option("--nodes", nodes,
                 "nodes that the ranks sit in; default: as the plans say, else the cluster");
}

MoveTask MoveTaskOptions::load(Session& session) const {
  std::optional<MoeModel> given;
  if (model) given = session.load_model(*model);
  PlacementHints hints{.num_experts = given ? std::optional(given->num_experts) : std::nullopt,
                       .num_ranks = ranks};
  if (given) {
    hints.num_layers = given->num_layers;
    hints.layer_ids = given->layer_ids;
  }
  const Side old{"OLD", old_path};
  const Side next{"NEW", new_path};
  PlacementFile before = read_side(session, old, next, hints);
  return between(session, std::move(before), read_side(session, next, old, hints),
                 std::move(given));
}

MoveTask MoveTaskOptions::between(Session& session, PlacementFile old, PlacementFile next,
                                  std::optional<MoeModel> given) const {
  const std::string machine =
      remembered(cluster, "--cluster", next.world.cluster, old.world.cluster);
  if (!given) {
    given = session.load_model(remembered(model, "--model", next.world.model, old.world.model));
  }
  Cluster loaded = session.load_cluster(machine);
  old = of_moe_layers(std::move(old), given->layer_ids, given->num_hidden_layers, "OLD");
  next = of_moe_layers(std::move(next), given->layer_ids, given->num_hidden_layers, "NEW");
  order_alike(old, next);
  Ids ids = agreed_ids(old, next);
  check_model_of(session, "OLD", old, *given);
  check_model_of(session, "NEW", next, *given);
  MoeModel fit = fitted(*given, ids);
  check(old_path, old.placement, fit);
  check(new_path, next.placement, fit);
  if (ids.empty()) ids = fit.layer_ids;
  session.name_layers(ids);
  std::optional<std::size_t> on = nodes;
  if (!on) on = nodes_of(old, next, machine == next.world.cluster.value_or(machine));
  Topology topology = loaded.topology(std::max(old.placement.ranks(), next.placement.ranks()), on);
  return {std::move(old.placement), std::move(next.placement), std::move(fit),
          std::move(loaded),        std::move(topology),       std::move(ids)};
}

}  // namespace moeshift::cli
