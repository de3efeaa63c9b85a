// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/moves/against_peer.hpp"

#include <array>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/report/figures.hpp"
#include "moeshift/schedule/stepwise.hpp"

#include "apps/moeshift/moves/schedule_options.hpp"

namespace moeshift::cli {
namespace {

struct NamedStep {
  ScheduleStep step;
  const char* feature;
  const char* meaning;
};

constexpr std::array kSteps = {
    NamedStep{ScheduleStep::kPacking, "packing", "one message per pair, not one per tensor"},
    NamedStep{ScheduleStep::kRounds, "rounds", "full duplex, edge-coloured, one group"},
    NamedStep{ScheduleStep::kCopies, "copies", "local moves in place, not through buffers"},
    NamedStep{ScheduleStep::kSources, "sources", "nearest holders, ports balanced"},
    NamedStep{ScheduleStep::kFanOut, "fan-out", "each node entered once per expert"},
};

Seconds time_of(const LayerCost& layer) {
  return layer.stage + layer.vote + layer.commit;
}

std::vector<LayerId> longer_layers(const TransferPlan& plan, const TransferCost& ours,
                                   const TransferCost& theirs) {
  std::vector<LayerId> longer;
  for (const LayerBatch& batch : plan.batches) {
    Seconds our_time;
    Seconds their_time;
    for (std::size_t i = batch.first; i < batch.first + batch.count; ++i) {
      our_time += time_of(ours.layers[i]);
      their_time += time_of(theirs.layers[i]);
    }
    if (our_time > their_time * (1 + 1e-12)) longer.push_back(plan.layers[batch.first].layer);
  }
  return longer;
}

}  // namespace

AgainstPeer compare_with_peer(const std::string& peer, const MoveTask& task,
                              const TransferPlan& plan, const TransferCost& ours,
                              const CostOptions& options, Threads threads) {
  CostOptions alone = options;
  alone.buffers = 1;
  const double ratio = options_for(task.cluster).inter_round_per_intra_round;
  const auto plan_at = [&](ScheduleStep step) {
    return make_step_plan(peer_schedule(peer), step, task.old, task.next, task.topology,
                          task.model.expert_sizes(), tensors_per_expert(task.model), ratio,
                          threads);
  };
  const TransferCost theirs =
      price(plan_at(ScheduleStep::kPeer), task.topology, task.cluster, alone);
  AgainstPeer against{peer, {}, longer_layers(plan, ours, theirs)};
  against.steps.push_back({peer, "as it is: one buffer", theirs.total});
  for (const NamedStep& step : kSteps) {
    against.steps.push_back({step.feature, step.meaning,
                             price(plan_at(step.step), task.topology, task.cluster, alone).total});
  }
  against.steps.push_back({"batches", "groups, batches and budgets of this plan",
                           price(plan, task.topology, task.cluster, alone).total});
  against.steps.push_back({"overlap",
                           fmt::format("{} buffers: staging beside the commit", options.buffers),
                           ours.total});
  return against;
}

nlohmann::ordered_json against_json(const AgainstPeer& against) {
  nlohmann::ordered_json steps = nlohmann::ordered_json::array();
  Seconds before = against.steps.front().total;
  for (const FeatureStep& step : against.steps) {
    nlohmann::ordered_json row = {{"feature", step.feature}};
    row.update(object_of(
        {figure("predicted_seconds")(step.total), figure("saved_seconds")(before - step.total)}));
    steps.push_back(std::move(row));
    before = step.total;
  }
  nlohmann::ordered_json layers = nlohmann::ordered_json::array();
  for (const LayerId layer : against.longer_layers) layers.push_back(layer.value());
  return {{"schedule", against.peer},
          {"times_faster", against.times_faster()},
          {"longer_layers", layers},
          {"steps", steps}};
}

Table against_table(const AgainstPeer& against) {
  Table table{"against " + against.peer, {"feature", "total", "saved", "share", "what"}, {}};
  const Seconds all = against.steps.front().total - against.steps.back().total;
  Seconds before = against.steps.front().total;
  for (const FeatureStep& step : against.steps) {
    const Seconds saved = before - step.total;
    const bool first = &step == &against.steps.front();
    table.rows.push_back(
        {Cell::text(step.feature), Cell::seconds(step.total),
         first ? Cell::empty() : Cell::seconds(saved),
         first || all.count() <= 0 ? Cell::empty() : Cell::percent(moeshift::ratio(saved, all)),
         Cell::text(step.meaning)});
    before = step.total;
  }
  return table;
}

std::string against_line(const AgainstPeer& against) {
  std::string layers;
  for (const LayerId layer : against.longer_layers) {
    layers += fmt::format("{}{}", layers.empty() ? "" : ", ", layer.value());
  }
  return fmt::format("{:.2f} x faster than {}, {}", against.times_faster(), against.peer,
                     layers.empty() ? "and longer on no layer" : "but longer on layers " + layers);
}

}  // namespace moeshift::cli
