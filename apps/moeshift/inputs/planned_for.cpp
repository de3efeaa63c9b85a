// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/inputs/planned_for.hpp"

#include <algorithm>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/core/json_reader.hpp"
#include "moeshift/cost/rank_speed.hpp"

#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/inputs/model_agreement.hpp"
#include "apps/moeshift/inputs/model_layers.hpp"
#include "apps/moeshift/inputs/placement_file.hpp"
#include "apps/moeshift/inputs/taken.hpp"

namespace moeshift::cli {
namespace {

/// More than any machine has, and few enough that a slip of the hand does not fill the memory.
void check_count(const char* option, std::size_t count) {
  constexpr std::size_t kMost = std::size_t{1} << 20U;
  if (count >= 1 && count <= kMost) return;
  throw InputError(option, fmt::format("expected 1 .. {}, got {}", kMost, count));
}

/// The model, cut to the layers that the trace names; one that names none has all, in order.
MoeModel fitted(Session& session, const MoeModel& given, const TraceHeader& trace) {
  const MoeModel model = with_drafts(given, trace.layer_ids);
  if (model.num_experts == trace.num_experts) {
    check_layers_of(session, model, {"the trace", trace.layer_ids, trace.num_hidden_layers});
    const auto stranger = std::ranges::find_if_not(
        trace.layer_ids, [&](std::int64_t id) { return has_layer(model, id); });
    if (stranger != trace.layer_ids.end()) {
      throw InputError("--model",
                       fmt::format("{} says nothing of the size of draft layer {}: count it among "
                                   "the layers ('moeshift models import' with --mtp does)",
                                   model.name, *stranger));
    }
    if (!trace.layer_ids.empty()) return with_layers(model, trace.layer_ids);
    if (model.num_layers == trace.num_layers) return model;
  }
  throw InputError("--model", fmt::format("{} has {} layers x {} experts, the trace {} x {}",
                                          model.name, model.num_layers, model.num_experts,
                                          trace.num_layers, trace.num_experts));
}

/// What the trace and the plan in force say of their model, against the one that is given.
void check_model(Session& session, const PlanShape& shape, const MoeModel& model,
                 const TraceHeader& trace) {
  check_layers_of(session, model, {"the plan in force", shape.layer_ids, shape.num_hidden_layers});
  mention_other_model(session, "the recording", trace.model, model.name);
  if (model.num_zero_experts > 0) {
    session.mention(fmt::format(
        "moeshift: {} sends some of a token's {} choices to {} experts that compute nothing, which "
        "no load counts: tokens and tokens per second that follow from loads are too few",
        model.name, model.top_k, model.num_zero_experts));
  }
  if (trace.top_k.value_or(model.top_k) == model.top_k) return;
  session.mention(
      fmt::format("moeshift: {} experts per token as the recording says; model {} has "
                  "{}",
                  *trace.top_k, model.name, model.top_k));
}

/// Groups limit which experts a token may choose: model and recording must mean the same. One
/// group is none, which nothing contradicts.
std::size_t groups_of(const PlanShape& shape, const std::optional<MoeModel>& model,
                      const TraceHeader& trace) {
  const std::optional<std::size_t> recorded = trace.num_expert_groups;
  const auto differ = [](std::size_t a, std::size_t b) { return a > 1 && b > 1 && a != b; };
  if (model && recorded && !shape.groups && differ(*recorded, model->num_expert_groups)) {
    throw InputError("--groups", fmt::format("model {} has {} expert groups, the recording {}: say "
                                             "which by --groups",
                                             model->name, model->num_expert_groups, *recorded));
  }
  const std::size_t count =
      shape.groups.value_or(model ? model->num_expert_groups : recorded.value_or(1));
  if (count >= 1 && count <= trace.num_experts) return count;
  throw InputError("--groups", fmt::format("expected 1 .. {}, got {}", trace.num_experts, count));
}

/// The header with the numbers that the layers have in the model: the model's, unless the trace has
/// its own among them; without a model those of the plan in force.
TraceHeader numbered(TraceHeader trace, const std::optional<MoeModel>& model,
                     const PlanShape& shape) {
  if (!model) {
    const bool silent = trace.layer_ids.empty() && shape.layer_ids.size() == trace.num_layers;
    if (silent) {
      // A trace that names no layers has them in order, however the plan's trace named its own.
      trace.layer_ids = shape.layer_ids;
      std::ranges::sort(trace.layer_ids);
    }
    if (silent && !trace.num_hidden_layers) trace.num_hidden_layers = shape.num_hidden_layers;
    return trace;
  }
  trace.layer_ids = model->layer_ids;
  if (model->num_hidden_layers) trace.num_hidden_layers = model->num_hidden_layers;
  return trace;
}

/// Where two files number their layers, they mean the same layers.
void check_layers(const std::string& name, const PlacementFile& file, const TraceHeader& trace) {
  if (file.layer_ids.empty() || trace.layer_ids.empty() || file.layer_ids == trace.layer_ids)
    return;
  throw InputError(name, fmt::format("has layers {} to {}, the trace {} to {}, by their numbers in "
                                     "the model",
                                     file.layer_ids.front(), file.layer_ids.back(),
                                     trace.layer_ids.front(), trace.layer_ids.back()));
}

/// The file holds a list, or an object with one under "rank_speed".
std::vector<double> read_speeds(Session& session, const std::string& path,
                                const std::optional<Cluster>& cluster, const Topology& topology) {
  const std::string name = Session::name_of_input(path);
  const JsonReader json(session.document(path), name);
  const std::size_t per_node =
      cluster ? cluster->ranks_per_node : topology.ranks() / topology.nodes();
  return read_rank_speed(json.is_object() ? json.at("rank_speed") : json, topology.ranks(),
                         per_node);
}

/// Files of one rank each say by their number how many ranks there are, even where what they hold
/// is not to be read yet.
PlanShape with_ranks_of_files(Session& session, PlanShape shape, const std::string& path) {
  const std::size_t files = count_rank_files(path);
  if (shape.ranks > 0 || files == 0) return shape;
  Taken taken;
  taken.fill(shape.ranks, "ranks", files);
  shape.ranks_by = Session::name_of_input(path);
  taken.say(session, shape.ranks_by + " says");
  return shape;
}

/// What would make a map of all layers one of those with experts.
std::string_view next_step(const Placement& placement, const TraceHeader& trace) {
  const bool more =
      placement.layers() > trace.num_layers && placement.experts() == trace.num_experts;
  const bool known = !trace.layer_ids.empty() && trace.num_hidden_layers;
  return more && !known ? ": if it has a row for every layer of the model, add --model, which says "
                          "which of them have experts"
                        : "";
}

}  // namespace

std::size_t PlannedFor::top_k() const {
  const std::size_t of_model = model ? model->top_k : 1;
  return std::max<std::size_t>(trace.top_k.value_or(of_model), 1);
}

std::optional<ExpertSizes> PlannedFor::expert_sizes() const {
  if (!model) return {};
  return model->expert_sizes();
}

void PlannedFor::need_machine_and_model(const std::string& option, const std::string& why) const {
  if (cluster && model) return;
  throw InputError(option, why);
}

PlanShape with_plan(Session& session, PlanShape shape, const std::optional<std::string>& path,
                    std::optional<std::size_t> ranks) {
  if (!path) return shape;
  constexpr std::size_t kUnknown = 1;  // no plan is needed for one rank
  PlacementHints hints;
  hints.likely_ranks = ranks.value_or(shape.ranks > 0 ? shape.ranks : kUnknown);
  hints.num_layers = 1;  // of a list for all layers, nothing is asked here that depends on them
  std::optional<PlacementFile> file;
  try {
    if (shape.model) {
      const MoeModel model = session.load_model(*shape.model);
      hints.layer_ids = model.layer_ids;
      hints.likely_experts = model.num_experts;
    }
    file = read_placement_file(session, *path, hints);
  } catch (const InputError&) {
    // What is wrong is told where it is read for the layers of the trace.
    return with_ranks_of_files(session, std::move(shape), *path);
  }
  const std::size_t of_file = file->placement.ranks();
  if (of_file == kUnknown && shape.ranks == 0) return shape;
  Taken taken;
  const bool same_ranks = shape.ranks == 0 || shape.ranks == of_file;
  const bool same_machine =
      !shape.cluster || file->world.cluster.value_or(*shape.cluster) == *shape.cluster;
  if (same_ranks && same_machine && !shape.nodes && file->world.nodes) {
    taken.fill(shape.nodes, "nodes", file->world.nodes);
    shape.nodes_by = Session::name_of_input(*path);
  }
  if (shape.ranks == 0) {
    taken.fill(shape.ranks, "ranks", of_file);
    shape.ranks_by = Session::name_of_input(*path);
  }
  if (shape.slots == 0 && same_ranks) taken.fill(shape.slots, "slots", file->placement.slots());
  taken.fill(shape.cluster, "cluster", file->world.cluster);
  taken.fill(shape.model, "model", file->world.model);
  shape.layer_ids = file->layer_ids;
  shape.num_hidden_layers = file->num_hidden_layers;
  taken.say(session, Session::name_of_input(*path) + " says");
  return shape;
}

PlannedFor read_planned_for(Session& session, const PlanShape& shape, const TraceHeader& trace) {
  check_count("--ranks", shape.ranks);
  check_count("--slots", shape.slots);
  std::optional<Cluster> cluster;
  if (shape.cluster) cluster = session.load_cluster(*shape.cluster);
  std::optional<MoeModel> model;
  if (shape.model) {
    const MoeModel given = session.load_model(*shape.model);
    model = fitted(session, given, trace);
    check_model(session, shape, given, trace);
  }
  Topology topology = cluster ? cluster->topology(shape.ranks, shape.nodes)
                              : Topology(shape.ranks, shape.nodes.value_or(1));
  const std::size_t groups = groups_of(shape, model, trace);
  PlannedWorld world{.cluster = shape.cluster, .model = shape.model, .nodes = shape.nodes};
  if (cluster) world.nodes = topology.nodes();  // else one node is only what was assumed
  std::vector<double> speed;
  if (cluster && !shape.rank_speed) speed = cluster->rank_speeds(topology.ranks());
  if (shape.rank_speed) speed = read_speeds(session, *shape.rank_speed, cluster, topology);
  TraceHeader named = numbered(trace, model, shape);
  session.name_layers(named.layer_ids);
  if (!model && trace.layer_ids != named.layer_ids) {
    session.mention(fmt::format("moeshift: layers {} to {} as the plan in force numbers them",
                                named.layer_ids.front(), named.layer_ids.back()));
  }
  return {.trace = std::move(named),
          .cluster = std::move(cluster),
          .model = std::move(model),
          .topology = std::move(topology),
          .slots = shape.slots,
          .expert_groups = groups,
          .rank_speed = std::move(speed),
          .world = std::move(world)};
}

Placement read_placement_for(Session& session, const std::string& path, const TraceHeader& trace,
                             std::optional<std::size_t> ranks,
                             std::optional<std::size_t> likely_ranks) {
  const std::string name = Session::name_of_input(path);
  PlacementHints hints{.num_experts = trace.num_experts, .num_ranks = ranks};
  hints.num_layers = trace.num_layers;
  hints.layer_ids = trace.layer_ids;
  hints.likely_ranks = likely_ranks;
  return placement_for(read_placement_file(session, path, hints, "--from-ranks"), trace, name);
}

Placement placement_for(PlacementFile file, const TraceHeader& trace, const std::string& name) {
  file = of_moe_layers(std::move(file), trace.layer_ids, trace.num_hidden_layers, name);
  check_layers(name, file, trace);
  Placement placement = std::move(file.placement);
  if (placement.layers() == trace.num_layers && placement.experts() == trace.num_experts) {
    return placement;
  }
  throw InputError(name, fmt::format("has {} layers x {} experts, the trace {} x {}{}",
                                     placement.layers(), placement.experts(), trace.num_layers,
                                     trace.num_experts, next_step(placement, trace)));
}

}  // namespace moeshift::cli
