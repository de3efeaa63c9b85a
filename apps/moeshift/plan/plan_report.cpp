// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/plan/plan_report.hpp"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/number_text.hpp"
#include "moeshift/plan/layer_problem.hpp"
#include "moeshift/report/figures.hpp"

#include "apps/moeshift/inputs/plan_shape.hpp"
#include "apps/moeshift/plan/network_report.hpp"
#include "apps/moeshift/plan/plan_page.hpp"

namespace moeshift::cli {
namespace {

using Json = nlohmann::ordered_json;

/// Lower bounds that hold under the rule: the verdicts' under even dispatch, else the mean.
std::vector<double> bounds_of(const PlanAnswer& answer) {
  std::vector<double> bounds;
  const auto active =
      static_cast<double>(answer.problem.topology.ranks() - answer.problem.inactive.size());
  for (const LayerId layer : answer.problem.load.row_ids()) {
    const bool even = answer.rule.rule == DispatchRule::kEven;
    bounds.push_back(even ? answer.plan.layers[layer.index()].lower_bound
                          : layer_total(answer.problem.load, layer) / active);
  }
  return bounds;
}

Json world_json(const PlanAnswer& answer) {
  Json json = Json::object();
  if (answer.world.cluster) json["cluster"] = *answer.world.cluster;
  if (answer.world.model) json["model"] = *answer.world.model;
  if (answer.world.nodes) json["nodes"] = *answer.world.nodes;
  json["slots"] = answer.problem.slots;
  json["expert_groups"] = answer.problem.expert_groups;
  return json;
}

/// What was planned for, which `export --fill` asks for; only where there is something to fill.
void add_load(const PlanAnswer& answer, Report& report) {
  const Placement& placement = answer.plan.placement;
  const auto slots = placement.physical_to_logical().items();
  if (std::none_of(slots.begin(), slots.end(), [](ExpertId e) { return e.is_none(); })) return;
  Json rows = Json::array();
  for (const LayerId layer : answer.problem.load.row_ids()) {
    const auto row = answer.problem.load.row(layer);
    rows.push_back(std::vector<double>(row.begin(), row.end()));
  }
  report.result()["load"] = std::move(rows);
}

Table summary_table(const Balance& balance, const PlanTimes& times) {
  std::vector<FigureValue> figures = figures_of(balance);
  std::swap(figures[1], figures[2]);  // people look for the imbalance beside the balancedness
  figures.push_back(figure("plan_seconds")(times.plan));
  figures.push_back(figure("bound_seconds")(times.bound));
  return figure_table(figures);
}

std::size_t filled_slots(const Placement& placement, LayerId layer) {
  const auto slots = placement.layer(layer);
  return static_cast<std::size_t>(
      std::count_if(slots.begin(), slots.end(), [](ExpertId e) { return !e.is_none(); }));
}

double peak_sum(const std::vector<LayerVerdict>& layers) {
  return std::accumulate(layers.begin(), layers.end(), 0.0,
                         [](double sum, const LayerVerdict& layer) { return sum + layer.peak; });
}

std::size_t serving(const PlanProblem& problem) {
  return problem.topology.ranks() - problem.inactive.size();
}

/// Where only a plan that doubles an expert on a rank is better: ours never do.
void add_doubling(const PlanResult& plan, Report& report) {
  const auto layers = std::count_if(plan.layers.begin(), plan.layers.end(),
                                    [](const LayerVerdict& v) { return v.doubled_peak > 0; });
  if (layers == 0) return;
  report.note(fmt::format(
      "{} of {} layers: deepseek has a lower peak, by two replicas of one expert on a rank (which "
      "weigh, but serve no better than one); this policy never doubles",
      layers, plan.layers.size()));
}

void add_objective(const PlanAnswer& answer, Report& report) {
  if (answer.objective == "tokens") return;
  const Balance costs = balance_of(
      rank_costs(answer.problem.load, answer.plan.placement, answer.goal), serving(answer.problem));
  const char* unit = answer.objective == "seconds" ? "seconds" : "experts";
  Json json = {{"name", answer.objective}, {"unit", unit}};
  json.update(object_of(
      {figure("peak_per_step")(costs.peak_load), figure("balancedness")(costs.balancedness)}));
  report.result()["objective"] = std::move(json);
  report.note(
      fmt::format("objective {}: {:.6g} {} per step on the busiest rank, summed over "
                  "layers; balancedness of it {:.4f}",
                  answer.objective, costs.peak_load, unit, costs.balancedness));
}

void add_slots_budget(const PlanAnswer& answer, Report& report) {
  if (!answer.slots_budget) return;
  std::size_t used = 0;
  Json per_layer = Json::array();
  for (const LayerId layer : answer.problem.load.row_ids()) {
    per_layer.push_back(filled_slots(answer.plan.placement, layer));
    used += per_layer.back().get<std::size_t>();
  }
  Json json = {{"slots", *answer.slots_budget},
               {"used", used},
               {"slots_per_layer", std::move(per_layer)},
               {"peak_load", peak_sum(answer.plan.layers)}};
  std::string compared;
  if (answer.uniform) {
    const std::size_t uniform = filled_slots(answer.uniform->placement, LayerId(0));
    const double peak = peak_sum(answer.uniform->layers);
    json["uniform_slots_per_layer"] = uniform;
    json["uniform_peak_load"] = peak;
    compared = fmt::format("; with {} in every layer the busiest ranks have {:.2f} % more load",
                           uniform, 100 * (peak / peak_sum(answer.plan.layers) - 1));
  }
  report.result()["slots_budget"] = std::move(json);
  report.note(fmt::format("{} of {} slots used{}", used, *answer.slots_budget, compared));
}

/// What tokens travel: in every result, and shown where the tokens are known.
void add_network(const PlanAnswer& answer, Report& report) {
  if (!answer.network) return;
  const NetworkFigures& network = *answer.network;
  const std::vector<NetworkVerdict>& verdicts = answer.plan.network;
  Json json = to_json(network);
  json["layers"] = layers_json(network, verdicts, answer.trace);
  report.result()["network"] = std::move(json);
  if (answer.rule.routes == nullptr) return;
  const Topology& topology = answer.problem.topology;
  report.note(network_note(network, topology.ranks(), topology.nodes()));
  report.table(network_table(network, verdicts, topology.nodes()));
  if (verdicts.empty()) return;
  const auto spared = std::count_if(verdicts.begin(), verdicts.end(),
                                    [](const NetworkVerdict& v) { return v.persisted; });
  report.note(fmt::format(
      "{} of {} layers were changed to spare the network; the others stay as the policy planned "
      "them: nothing to gain there, or the gain does not show on windows left out",
      spared, verdicts.size()));
}

}  // namespace

Report report_plan(const PlanAnswer& answer) {
  const PlanProblem& problem = answer.problem;
  const PlanResult& plan = answer.plan;
  const RankLoads loads = active_times(
      problem, rank_loads(problem.load, plan.placement, problem.topology, answer.rule));
  const std::vector<double> bounds = bounds_of(answer);
  const Balance balance = balance_of(loads, serving(problem), bounds);
  const auto hasty = std::count_if(plan.layers.begin(), plan.layers.end(),
                                   [](const LayerVerdict& layer) { return layer.hasty; });
  Report report("plan", "Where every expert lives");
  report.result() = {{"policy", answer.policy},
                     {"steps", answer.steps},
                     {"planned_for", world_json(answer)},
                     {"placement", to_json(plan.placement, answer.trace)},
                     {"dispatch", answer.dispatch},
                     {"metrics", to_json(balance)},
                     {"layers", to_json(plan.layers, answer.trace)},
                     {"moves_tried", plan.moves_tried},
                     {"hasty_layers", hasty},
                     {"plan_seconds", answer.times.plan},
                     {"bound_seconds", answer.times.bound}};
  report.note(fmt::format("{}: {} x {}, {} -> {} on {}, {}", answer.policy,
                          counted(problem.layers(), "layer"), counted(problem.experts(), "expert"),
                          counted(answer.steps, "step"), counted(problem.slots, "slot"),
                          counted(problem.topology.ranks(), "rank"),
                          counted(problem.topology.nodes(), "node")));
  if (answer.rule.rule != DispatchRule::kEven) {
    report.note(
        fmt::format("scored under {} dispatch; gaps are to the mean rank", answer.dispatch));
  }
  report.table(summary_table(balance, answer.times));
  if (answer.change) {
    add_before_after(*answer.change, balance, serving(problem), answer.expert_sizes.has_value(),
                     report);
  }
  if (!active_speeds(problem).empty()) {
    report.note(
        "ranks differ in speed: all figures are of times, in tokens of a rank of mean speed");
  }
  add_doubling(plan, report);
  add_load(answer, report);
  add_plan_page(answer, loads, bounds, report);
  add_objective(answer, report);
  add_network(answer, report);
  add_slots_budget(answer, report);
  if (hasty > 0) {
    report.note(fmt::format("out of time: {} of {} layers stayed or got the least effort", hasty,
                            plan.layers.size()));
  }
  return report;
}

Table layer_table(const PlanAnswer& answer) {
  Table table{
      "", {"layer", "imbalance", "lower bound", "gap", "duplicates", "slots", "decision"}, {}};
  for (std::size_t i = 0; i < answer.plan.layers.size(); ++i) {
    const LayerVerdict& layer = answer.plan.layers[i];
    table.rows.push_back({Cell::count(layer_id_of(answer.trace, i)),
                          Cell::decimal(layer.imbalance, 4), Cell::decimal(layer.lower_bound, 0),
                          Cell::percent(layer.gap, 2), Cell::count(layer.duplicates),
                          Cell::count(filled_slots(answer.plan.placement, LayerId(i))),
                          Cell::text(layer.keep ? "keep" : "move")});
  }
  return table;
}

void explain_moves(const PlanAnswer& answer, Report& report) {
  Table table{"",
              {"layer", "expert", "to rank", "replaces", "link", figure("bytes"),
               figure("imbalance_before"), figure("imbalance_after"), figure("gain")},
              {}};
  Json rows = Json::array();
  for (const MoveReason& move : answer.plan.reasons) {
    const bool fills_hole = move.replaced.is_none();
    std::optional<Bytes> bytes;
    if (answer.expert_sizes) bytes = (*answer.expert_sizes)(move.layer, move.expert);
    const double gain = move.imbalance_before - move.imbalance_after;
    table.rows.push_back(
        {Cell::count(layer_id_of(answer.trace, move.layer.index())),
         Cell::count(std::size_t{move.expert.value()}), Cell::count(std::size_t{move.rank.value()}),
         fills_hole ? Cell::empty() : Cell::count(std::size_t{move.replaced.value()}),
         Cell::text(std::string(name_of(move.link))), bytes ? Cell::bytes(*bytes) : Cell::empty(),
         figure("imbalance_before")(move.imbalance_before),
         figure("imbalance_after")(move.imbalance_after), figure("gain")(gain)});
    Json row =
        object_of({figure("layer")(layer_id_of(answer.trace, move.layer.index())),
                   figure("expert")(std::size_t{move.expert.value()}),
                   figure("rank")(std::size_t{move.rank.value()}),
                   figure("replaced")(fills_hole ? std::int64_t{-1} : move.replaced.value())});
    row["link"] = name_of(move.link);
    row.update(object_of({bytes ? figure("bytes")(*bytes) : figure("bytes").unknown(),
                          figure("imbalance_before")(move.imbalance_before),
                          figure("imbalance_after")(move.imbalance_after), figure("gain")(gain)}));
    rows.push_back(std::move(row));
  }
  report.result()["reasons"] = std::move(rows);
  report.table(std::move(table));
}

}  // namespace moeshift::cli
