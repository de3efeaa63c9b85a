// SPDX-License-Identifier: Apache-2.0
// moeshift plan: from a trace to a placement.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/plan/layered_planner.hpp"
#include "moeshift/plan/registry.hpp"
#include "moeshift/trace/placement_format.hpp"
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
           {Cell::text("balancedness_vllm"), Cell::decimal(balance.balancedness_vllm, 4),
            Cell::text("sum over layers of mean / sum of busiest rank load")},
           {Cell::text("imbalance_trtllm"), Cell::decimal(balance.imbalance_trtllm, 4),
            Cell::text("mean over layers of busiest / mean rank load - 1")},
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

void explain(Report& report, const TraceHeader& header, const std::vector<MoveReason>& reasons) {
  Table table{"", {"layer", "expert", "to rank", "replaces", "link", "imbalance", "after"}, {}};
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const MoveReason& move : reasons) {
    const std::size_t i = move.layer.index();
    const std::int64_t id =
        header.layer_ids.empty() ? static_cast<std::int64_t>(i) : header.layer_ids[i];
    const bool fills_hole = move.replaced.is_none();
    table.rows.push_back(
        {Cell::count(id), Cell::count(std::size_t{move.expert.value()}),
         Cell::count(std::size_t{move.rank.value()}),
         fills_hole ? Cell::empty() : Cell::count(std::size_t{move.replaced.value()}),
         Cell::text(std::string(name_of(move.link))), Cell::decimal(move.imbalance_before, 4),
         Cell::decimal(move.imbalance_after, 4)});
    rows.push_back({{"layer", i},
                    {"expert", move.expert.value()},
                    {"rank", move.rank.value()},
                    {"replaced", fills_hole ? std::int64_t{-1} : move.replaced.value()},
                    {"link", name_of(move.link)},
                    {"imbalance_before", move.imbalance_before},
                    {"imbalance_after", move.imbalance_after}});
  }
  report.result()["reasons"] = std::move(rows);
  report.table(std::move(table));
}

class Plan final : public Command {
 public:
  void declare(Options& options) override {
    options.positional("TRACE", trace_, "recorded loads; '-' is standard input");
    shape_.declare(options);
    options.choice("--policy", policy_, policy_names(), "who plans; see `moeshift policies`");
    options.option("--windows", windows_, "steps to plan on, as first:last (last not included)");
    options.option("--from", from_, "the placement in force: a plan, or any format of `export`");
    options.option("--from-ranks", from_ranks_, "ranks of --from, where its file does not say");
    options.list("--inactive", inactive_, "ranks that hold nothing, as 3,7");
    declare_policy_options(options, policy_options_);
    options.flag("--layers", per_layer_, "also show a row per layer");
    options.flag("--explain", explain_, "also show why each replica moved (incremental, robust)");
  }

  ExitCode run(Session& session) override {
    const LoadWindow window = read_window(session);
    PlanProblem problem{.load = sum_of(window.loads),
                        .samples = window.loads,
                        .topology = shape_.topology(session),
                        .slots = shape_.slots,
                        .expert_groups = shape_.expert_groups(session, window.header),
                        .seed = session.seed(),
                        .inactive = inactive_ranks()};
    const std::optional<Placement> old = old_placement(session, window.header);
    if (old) problem.old = &*old;
    if (shape_.model) {
      policy_options_.expert_bytes = session.load_model(*shape_.model).expert_bytes();
    }
    if (policy_options_.budget && !shape_.model) {
      throw InputError("", "--budget-bytes needs --model, which says how many bytes an expert has");
    }
    const std::unique_ptr<Planner> planner = make_planner(policy_, policy_options_);
    const auto start = std::chrono::steady_clock::now();
    PlanResult plan = planner->plan(problem, session.threads(), session.progress());
    const double plan_seconds = seconds_since(start);
    tighten_bounds(problem, session.threads(), plan);
    report(session, window, problem, plan, plan_seconds);
    return ExitCode::kGood;
  }

 private:
  [[nodiscard]] LoadWindow read_window(Session& session) const {
    const std::unique_ptr<std::istream> in = session.open_input(trace_);
    return load_window(*in, Session::name_of_input(trace_),
                       parse_step_range(windows_, "--windows"));
  }

  [[nodiscard]] std::vector<RankId> inactive_ranks() const {
    std::vector<RankId> ranks;
    for (const std::string& text : inactive_) {
      std::uint32_t rank = 0;
      const auto read = std::from_chars(text.data(), text.data() + text.size(), rank);
      if (read.ec != std::errc() || read.ptr != text.data() + text.size()) {
        throw InputError("", fmt::format("--inactive: expected ranks as 3,7, not '{}'", text));
      }
      ranks.emplace_back(rank);
    }
    std::sort(ranks.begin(), ranks.end());
    return ranks;
  }

  [[nodiscard]] std::optional<Placement> old_placement(Session& session,
                                                       const TraceHeader& header) const {
    if (!from_) return {};
    const std::unique_ptr<std::istream> in = session.open_input(*from_);
    const PlacementHints hints{.num_experts = header.num_experts, .num_ranks = from_ranks_};
    return read_placement(*in, Session::name_of_input(*from_), hints).placement;
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
    if (explain_) explain(report, window.header, plan.reasons);
    session.emit(report);
  }

  std::string trace_;
  PlanShape shape_;
  std::string policy_ = "deepseek";
  std::string windows_ = ":";
  PolicyOptions policy_options_;
  std::optional<std::string> from_;
  std::optional<std::size_t> from_ranks_;
  std::vector<std::string> inactive_;
  bool per_layer_ = false;
  bool explain_ = false;
};

}  // namespace

std::unique_ptr<Command> make_plan() {
  return std::make_unique<Plan>();
}

}  // namespace moeshift::cli
