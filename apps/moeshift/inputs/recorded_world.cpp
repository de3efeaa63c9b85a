// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/inputs/recorded_world.hpp"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "moeshift/core/error.hpp"

#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/inputs/model_layers.hpp"
#include "apps/moeshift/inputs/named_model.hpp"
#include "apps/moeshift/inputs/taken.hpp"

namespace moeshift::cli {
namespace {

using Count = std::optional<std::size_t>;

/// @param plan the plan in force, where it says `asked`, and not an option.
void check_agrees(const char* option, const Count& asked, const Count& recorded,
                  const std::string& what, const std::string& plan = "") {
  if (!asked || !recorded || *asked == *recorded) return;
  if (!plan.empty()) {
    throw InputError(plan, fmt::format("is for {0} {2}, the recording is of {1}: say {3} {1} to "
                                       "plan for those, or add --allow-different to plan for {0}",
                                       *asked, *recorded, what, option));
  }
  throw InputError(option, fmt::format("{} asked for, the recording is of {} {}: leave it out, or "
                                       "add --allow-different to plan for another world",
                                       *asked, *recorded, what));
}

/// In what the recording is not of the model; "" where it may be.
std::string difference_to(const MoeModel& given, const TraceHeader& trace) {
  const MoeModel model = with_drafts(given, trace.layer_ids);
  const auto differs = [](const char* what, std::size_t own, std::size_t recorded) {
    return fmt::format("has {} {}, the recording {}", own, what, recorded);
  };
  if (model.num_experts != trace.num_experts) {
    return differs("experts", model.num_experts, trace.num_experts);
  }
  if (trace.num_expert_groups && *trace.num_expert_groups != model.num_expert_groups) {
    return differs("expert groups", model.num_expert_groups, *trace.num_expert_groups);
  }
  if (trace.top_k && *trace.top_k != model.top_k) {
    return differs("experts per token", model.top_k, *trace.top_k);
  }
  if (trace.layer_ids.empty()) {
    if (trace.num_layers == model.num_layers) return "";
    return differs("MoE layers", model.num_layers, trace.num_layers);
  }
  const auto other =
      std::ranges::find_if(trace.layer_ids, [&](std::int64_t id) { return !has_layer(model, id); });
  if (other == trace.layer_ids.end()) return "";
  return fmt::format("has no MoE layer {}, the recording has", *other);
}

/// The recording names models and fits none of them: it is of another one, or some layers' loads
/// are not in it.
void tell_none_fits(Session& session, const std::vector<NamedModel>& meant,
                    const TraceHeader& trace) {
  const NamedModel& first = meant.front();
  session.mention(
      fmt::format("moeshift: the recording is of {}, but {} {}: it is not taken for the model, and "
                  "--model names the one to take",
                  trace.model, first.configuration, difference_to(first.model, trace)));
}

/// The shipped model that the recording names, where it can mean no other; else a line says which
/// it may mean.
std::optional<std::string> model_of(Session& session, const TraceHeader& trace) {
  const std::vector<NamedModel> named = models_named(session, trace.model);
  std::vector<NamedModel> meant;
  std::ranges::copy_if(named, std::back_inserter(meant), [&](const NamedModel& each) {
    return difference_to(each.model, trace).empty();
  });
  if (meant.empty()) {
    if (!named.empty()) tell_none_fits(session, named, trace);
    return {};
  }
  if (meant.size() == 1 && meant.front().certain) return meant.front().configuration;
  std::vector<std::string> names;
  for (const NamedModel& each : meant) names.push_back(each.configuration);
  session.mention(
      fmt::format("moeshift: the recording is of {}, and does not say in which precision: --model "
                  "takes {}, or the file that 'moeshift models import' makes of its config.json",
                  trace.model, fmt::join(names, ", ")));
  return {};
}

}  // namespace

PlanShape with_record(Session& session, PlanShape shape, const TraceHeader& trace) {
  Taken taken;
  const Count recorded = trace.num_ranks;
  if (!shape.allow_different) {
    if (shape.ranks > 0) check_agrees("--ranks", shape.ranks, recorded, "ranks", shape.ranks_by);
    // One group is none: nothing is contradicted by it, on either side.
    if (shape.groups.value_or(1) > 1 && trace.num_expert_groups.value_or(1) > 1) {
      check_agrees("--groups", shape.groups, trace.num_expert_groups, "expert groups");
    }
  }
  if (shape.ranks == 0 && recorded) taken.fill(shape.ranks, "ranks", *recorded);
  if (recorded && shape.ranks == *recorded) {
    if (!shape.allow_different) {
      check_agrees("--nodes", shape.nodes, trace.num_nodes, "nodes", shape.nodes_by);
    }
    if (shape.slots == 0 && trace.num_slots) taken.fill(shape.slots, "slots", *trace.num_slots);
    taken.fill(shape.nodes, "nodes", trace.num_nodes);
  }
  if (!shape.model) taken.fill(shape.model, "model", model_of(session, trace));
  taken.say(session, "the recording says");
  return shape;
}

PlanShape whole_shape(Session& session, PlanShape shape, const TraceHeader& trace) {
  shape = with_record(session, std::move(shape), trace);
  if (shape.ranks == 0) {
    throw InputError("--ranks",
                     "expected at least 1; neither the recording nor a plan says how many");
  }
  if (shape.slots == 0) {
    throw InputError(
        "--slots",
        fmt::format("expected at least 1; neither the recording nor a plan says how many. "
                    "The {} experts and some more, a multiple of {} ranks",
                    trace.num_experts, shape.ranks));
  }
  return shape;
}

}  // namespace moeshift::cli
