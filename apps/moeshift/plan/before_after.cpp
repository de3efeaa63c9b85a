// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/plan/before_after.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/cost/dispatch.hpp"
#include "moeshift/cost/serving_model.hpp"
#include "moeshift/cost/transfer_cost.hpp"
#include "moeshift/plan/layer_problem.hpp"
#include "moeshift/report/figures.hpp"
#include "moeshift/schedule/scheduler.hpp"

#include "apps/moeshift/inputs/by_link.hpp"

namespace moeshift::cli {
namespace {

using Json = nlohmann::ordered_json;

/// A recorded step that no forward pass can hold stands for several: engines serve at most so many
/// tokens per rank at once (vLLM's max_num_batched_tokens, SGLang's chunked_prefill_size).
constexpr double kMostTokensPerRank = 8192;

/// Expert i % E in slot i.
Placement as_engines_start(const PlanProblem& problem) {
  IdMatrix<LayerId, SlotId, ExpertId> slots(problem.layers(), problem.slots);
  for (const LayerId layer : slots.row_ids()) {
    for (const SlotId slot : slots.column_ids()) {
      slots(layer, slot) = ExpertId(slot.index() % problem.experts());
    }
  }
  return {problem.experts(), problem.topology.ranks(), std::move(slots)};
}

/// Nobody moves an expert that no rank holds any more: it is loaded, which is not priced here.
bool can_move_from(const Placement& old, const PlanProblem& problem) {
  if (old.layers() != problem.layers()) return false;
  for (const LayerId layer : problem.load.row_ids()) {
    if (!old.uncovered(layer).empty()) return false;
  }
  return true;
}

double tokens_of_a_pass(const PlanProblem& problem, const PlannedMachine& machine) {
  if (machine.tokens_per_step) return *machine.tokens_per_step;
  double pairs = 0;
  for (const LayerId layer : problem.load.row_ids()) pairs += layer_total(problem.load, layer);
  const auto layers = std::max<std::size_t>(loaded_layers(problem.load), 1) * machine.steps;
  const double tokens = pairs / static_cast<double>(layers * machine.top_k);
  const double most = kMostTokensPerRank * static_cast<double>(problem.topology.ranks());
  return tokens / std::max(1.0, std::ceil(tokens / most));
}

/// One forward pass, whose layers all choose experts as they did over the whole window.
Seconds step_time(const ServingModel& serves, const PlanProblem& problem,
                  const Placement& placement, DispatchOptions rule, double pairs) {
  rule.silent = problem.inactive;
  Seconds total = serves.outside_layers(pairs, loaded_layers(problem.load));
  for (const LayerId layer : problem.load.row_ids()) {
    const double recorded = layer_total(problem.load, layer);
    if (recorded <= 0) continue;
    std::vector<double> load(problem.load.row(layer).begin(), problem.load.row(layer).end());
    for (double& tokens : load) tokens *= pairs / recorded;
    const LayerDispatch dispatch = dispatch_shares(placement, layer, problem.topology, rule, load);
    total += serves.layer_time(load, dispatch).total;
  }
  return total;
}

Bytes bytes_of(const TransferTotals& totals) {
  return std::accumulate(totals.bytes_by_link.begin() + 1, totals.bytes_by_link.end(), Bytes());
}

/// "worth it after 212 steps: each saves 3.1 ms, moving takes 653 ms".
Conclusion verdict_of(const BeforeAfter& change) {
  const Seconds saved = change.step->saved();
  const std::optional<double> after = change.worth_after();
  if (change.moves.transfers == 0) return {"nothing has to move", Tone::kPlain, {}};
  if (!after) {
    return {fmt::format("not worth it: moving takes {}, and a step gets no faster",
                        human(*change.moving)),
            Tone::kPlain,
            {}};
  }
  return {fmt::format("worth it after {} step{}: each saves {} ({:.1f} %), moving takes {}",
                      human_count(static_cast<std::int64_t>(*after)), *after == 1 ? "" : "s",
                      human(saved), 100 * saved.count() / change.step->before.count(),
                      human(*change.moving)),
          Tone::kGood,
          {}};
}

Table table_of(const BeforeAfter& change, const std::optional<Balance>& before,
               const Balance& after, bool with_bytes) {
  Table table{"before and after", {"what", change.name, "planned"}, {}};
  const auto row = [&](const char* what, Cell was, Cell is) {
    table.rows.push_back({Cell::text(what), std::move(was), std::move(is)});
  };
  row("balancedness", before ? Cell::decimal(before->balancedness, 4) : Cell::empty(),
      Cell::decimal(after.balancedness, 4));
  row("busiest rank", before ? figure("peak_load")(before->peak_load).cell() : Cell::empty(),
      figure("peak_load")(after.peak_load));
  if (change.step) {
    row("step time", Cell::seconds(change.step->before), Cell::seconds(change.step->after));
  }
  row("experts moved", Cell::empty(), Cell::count(change.moves.transfers));
  if (with_bytes) row("bytes moved", Cell::empty(), Cell::bytes(bytes_of(change.moves)));
  if (change.moving) row("moving takes", Cell::empty(), Cell::seconds(*change.moving));
  return table;
}

}  // namespace

std::optional<double> BeforeAfter::worth_after() const {
  if (!step || !moving || step->saved() <= Seconds()) return {};
  return std::ceil(moving->count() / step->saved().count());
}

std::optional<BeforeAfter> before_and_after(const PlanProblem& problem, const PlanResult& plan,
                                            const DispatchOptions& rule,
                                            const PlannedMachine& machine, Threads threads) {
  const bool given = problem.old != nullptr;
  if (!given && !problem.inactive.empty()) return {};
  const Placement old = given ? *problem.old : as_engines_start(problem);
  if (!can_move_from(old, problem)) return {};
  BeforeAfter change{.name = given ? "before" : "as engines start",
                     .before = {},
                     .moves = {},
                     .moving = {},
                     .step = {}};
  const Topology& topology = problem.topology;
  const bool same_world = old.ranks() == topology.ranks();
  if (same_world) {
    change.before = active_times(problem, rank_loads(problem.load, old, topology, rule));
  }
  if (!same_world && !machine.cluster) return change;
  const Topology world = same_world || old.ranks() < topology.ranks()
                             ? topology
                             : machine.cluster->topology(old.ranks());
  const TransferPlan moves =
      make_transfer_plan(old, plan.placement, world, machine.sizes.value_or(Bytes(1)), {}, threads);
  change.moves = totals_of(moves);
  if (!machine.cluster || !machine.sizes) return change;
  change.moving = price(moves, world, *machine.cluster).total;
  if (!machine.serving || !change.before) return change;
  const ServingModel serves(*machine.serving, *machine.cluster, topology, machine.top_k);
  const double tokens = tokens_of_a_pass(problem, machine);
  const double pairs = tokens * static_cast<double>(machine.top_k);
  change.step = {tokens, step_time(serves, problem, old, rule, pairs),
                 step_time(serves, problem, plan.placement, rule, pairs)};
  return change;
}

void add_before_after(const BeforeAfter& change, const Balance& after, std::size_t serving,
                      bool with_bytes, Report& report) {
  std::optional<Balance> before;
  if (change.before) before = balance_of(*change.before, serving);
  Json was = {{"placement", change.name}};
  if (before) {
    // Names of their own: nobody gates what was before.
    was.update(object_of({figure("balancedness_before")(before->balancedness),
                          figure("peak_load_before")(before->peak_load)}));
  }
  Json move = object_of({figure("transfers")(change.moves.transfers)});
  if (with_bytes)
    put(move, figure("bytes_by_link"), bytes_by_link_json(change.moves.bytes_by_link));
  if (change.moving) move.update(object_of({figure("predicted_seconds")(*change.moving)}));
  if (change.step) {
    was.update(object_of({figure("step_seconds_before")(change.step->before)}));
    move.update(object_of({figure("tokens")(change.step->tokens),
                           figure("step_seconds")(change.step->after),
                           figure("saving_seconds")(change.step->saved())}));
    const std::optional<double> steps = change.worth_after();
    const auto& even = figure("break_even_steps");
    move.update(object_of({steps ? even(*steps) : even.unknown()}));
  }
  report.result()["before"] = std::move(was);
  report.result()["move"] = std::move(move);
  report.table(table_of(change, before, after, with_bytes));
  if (change.step) {
    report.add(verdict_of(change));
    report.note(fmt::format("a step is a forward pass of {} tokens, as it would be served",
                            human_count(static_cast<std::int64_t>(change.step->tokens))));
  }
}

}  // namespace moeshift::cli
