// SPDX-License-Identifier: Apache-2.0
// moeshift plan: from a trace to a placement.
#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/plan/registry.hpp"
#include "moeshift/trace/window.hpp"

#include "apps/moeshift/commands/commands.hpp"
#include "apps/moeshift/planning.hpp"
#include "apps/moeshift/session.hpp"

namespace moeshift::cli {
namespace {

std::vector<std::string> policy_names() {
  std::vector<std::string> names;
  for (const PolicyEntry& policy : policies()) names.emplace_back(policy.name);
  return names;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

Table summary_table(const Balance& balance, double plan_seconds) {
  return {"",
          {"metric", "value", "meaning"},
          {{Cell::text("balancedness"), Cell::decimal(balance.balancedness, 4),
            Cell::text("mean over layers of mean rank load / busiest rank")},
           {Cell::text("imbalance"), Cell::decimal(balance.imbalance, 4),
            Cell::text("mean over layers of busiest rank / mean rank load")},
           {Cell::text("peak_load"), Cell::decimal(balance.peak_load, 0),
            Cell::text("tokens of the busiest rank, summed over layers")},
           {Cell::text("gap_mean"), Cell::percent(balance.gap_mean, 2),
            Cell::text("mean over layers of busiest rank / lower bound - 1")},
           {Cell::text("gap_max"), Cell::percent(balance.gap_max, 2),
            Cell::text("the worst layer of the same")},
           {Cell::text("plan_seconds"), Cell::seconds(Seconds(plan_seconds)),
            Cell::text("time the policy took")}}};
}

Table layer_table(const TraceHeader& header, const std::vector<LayerVerdict>& layers) {
  Table table{"", {"layer", "imbalance", "lower bound", "gap", "duplicates", "decision"}, {}};
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const std::int64_t id =
        header.layer_ids.empty() ? static_cast<std::int64_t>(i) : header.layer_ids[i];
    table.rows.push_back({Cell::count(id), Cell::decimal(layers[i].imbalance, 4),
                          Cell::decimal(layers[i].lower_bound, 0), Cell::percent(layers[i].gap, 2),
                          Cell::count(layers[i].duplicates),
                          Cell::text(layers[i].keep ? "keep" : "move")});
  }
  return table;
}

class Plan final : public Command {
 public:
  void declare(Options& options) override {
    options.positional("TRACE", trace_, "recorded loads; '-' is standard input");
    shape_.declare(options);
    options.choice("--policy", policy_, policy_names(), "who plans; see `moeshift policies`");
    options.option("--windows", windows_, "steps to plan on, as first:last (last not included)");
    options.choice("--hierarchy", policy_options_.hierarchy, {"auto", "hierarchical", "global"},
                   "whether expert groups stay inside a node (deepseek, snake)");
    options.flag("--layers", per_layer_, "also show a row per layer");
  }

  ExitCode run(Session& session) override {
    const LoadWindow window = read_window(session);
    const PlanProblem problem{.load = sum_of(window.loads),
                              .samples = window.loads,
                              .topology = shape_.topology(session),
                              .slots = shape_.slots,
                              .expert_groups = shape_.expert_groups(session, window.header),
                              .seed = session.seed()};
    const std::unique_ptr<Planner> planner = make_planner(policy_, policy_options_);
    const auto start = std::chrono::steady_clock::now();
    const PlanResult plan = planner->plan(problem, session.threads(), session.progress());
    report(session, window, problem, plan, seconds_since(start));
    return ExitCode::kGood;
  }

 private:
  [[nodiscard]] LoadWindow read_window(Session& session) const {
    const std::unique_ptr<std::istream> in = session.open_input(trace_);
    return load_window(*in, Session::name_of_input(trace_),
                       parse_step_range(windows_, "--windows"));
  }

  void report(Session& session, const LoadWindow& window, const PlanProblem& problem,
              const PlanResult& plan, double plan_seconds) const {
    std::vector<double> bounds;
    for (const LayerVerdict& layer : plan.layers) bounds.push_back(layer.lower_bound);
    const Balance balance = balance_of(rank_loads(problem.load, plan.placement), bounds);
    Report report("plan");
    report.result() = {{"policy", policy_},
                       {"steps", window.loads.size()},
                       {"placement", to_json(plan.placement)},
                       {"metrics", to_json(balance)},
                       {"layers", to_json(plan.layers)},
                       {"moves_tried", plan.moves_tried},
                       {"plan_seconds", plan_seconds}};
    report.note(
        fmt::format("{}: {} layers x {} experts, {} steps -> {} slots on {} ranks, {} nodes",
                    policy_, problem.layers(), problem.experts(), window.loads.size(),
                    problem.slots, problem.topology.ranks(), problem.topology.nodes()));
    report.table(summary_table(balance, plan_seconds));
    if (per_layer_) report.table(layer_table(window.header, plan.layers));
    session.emit(report);
  }

  std::string trace_;
  PlanShape shape_;
  std::string policy_ = "deepseek";
  std::string windows_ = ":";
  PolicyOptions policy_options_;
  bool per_layer_ = false;
};

}  // namespace

std::unique_ptr<Command> make_plan() {
  return std::make_unique<Plan>();
}

}  // namespace moeshift::cli
