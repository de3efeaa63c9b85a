// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/plan/plan_goal.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "moeshift/core/error.hpp"
#include "moeshift/core/json_reader.hpp"
#include "moeshift/cost/move_price.hpp"
#include "moeshift/plan/deadline.hpp"
#include "moeshift/plan/together/network_goal.hpp"

#include "apps/moeshift/cli/session.hpp"
#include "apps/moeshift/inputs/serving_machine.hpp"

namespace moeshift::cli {
namespace {

/// Machine and model as they serve. @throws InputError naming `option`, which needs them.
ServingParameters serving_of(Session& session, const PlannedFor& planned,
                             const std::optional<std::string>& serving, const char* option) {
  planned.need_machine_and_model(option,
                                 "needs --cluster and --model, which say how long things take");
  return read_serving(session, planned, serving);
}

}  // namespace

void PlanGoal::declare(Options& options) {
  options.choice("--objective", objective, {"tokens", "activated", "seconds"},
                 "what makes a rank slow: its tokens, the experts it reads in a step (decode), or "
                 "both in seconds (needs --cluster and --model)");
  options.option("--tokens-per-step", tokens_per_step,
                 "tokens of a serving step, for objective and price; default: as recorded");
  options.option("--serving", serving,
                 "serving parameters: a name of configs/serving or a file; default: the cluster's");
  options.choice(
      "--dispatch", dispatch, {"even", "nearest", "random", "lp", "visited"},
      "how tokens choose a replica; visited: on a rank they go to anyway (needs routes)");
  options.option("--balance-slack", balance_slack,
                 "spare the network: imbalance that a layer may give for fewer copies of its "
                 "tokens (needs routes); --objective seconds finds what pays");
  options.option("--time-limit", time_limit,
                 "seconds a plan may take; layers not planned by then stay, or get the least "
                 "effort");
}

PlannedSteps steps_of(const LoadMatrix& load, std::size_t count) {
  double pairs = 0;
  for (const LayerId layer : load.row_ids()) pairs += layer_total(load, layer);
  return {
      .count = count,
      .pairs = pairs / static_cast<double>(std::max<std::size_t>(loaded_layers(load), 1) * count)};
}

void PlanGoal::say_unused(Session& session, const PlannedFor& planned) const {
  static_cast<void>(limit());
  if (!serving || (planned.cluster && planned.model)) return;
  const std::string path = session.config_path("serving", *serving);
  static_cast<void>(
      read_serving_machine(JsonReader(session.document(path), Session::name_of_input(path))));
  session.mention("--serving is not used: without --cluster and --model nothing is priced");
}

std::optional<Seconds> PlanGoal::limit() const {
  if (!time_limit) return {};
  if (*time_limit >= 0 && *time_limit <= 1e6) return Seconds(*time_limit);
  throw InputError("--time-limit", "expected seconds, 0 to 1000000");
}

std::unique_ptr<Planner> PlanGoal::limited(std::unique_ptr<Planner> planner) const {
  const std::optional<Seconds> seconds = limit();
  if (!seconds) return planner;
  return std::make_unique<TimeLimitedPlanner>(std::move(planner), *seconds);
}

std::shared_ptr<const ServingModel> PlanGoal::serving_model(Session& session,
                                                            const PlannedFor& planned) const {
  if (!planned.cluster || !planned.model) return nullptr;
  const bool asked = serving.has_value() || objective == "seconds";
  const std::vector<std::string> shipped = session.shipped("serving");
  const bool known = std::ranges::find(shipped, planned.cluster->name) != shipped.end();
  if (!asked && !known) return nullptr;
  try {
    return std::make_shared<const ServingModel>(read_serving(session, planned, serving),
                                                *planned.cluster, planned.topology,
                                                planned.top_k());
  } catch (const InputError&) {
    if (asked) throw;
    return nullptr;  // the machine has no rate for the model's weights: nothing is priced
  }
}

std::shared_ptr<const NetworkGoal> PlanGoal::network_goal(Session& session,
                                                          const PlannedFor& planned,
                                                          const PlannedSteps& steps) const {
  NetworkGoal goal;
  if (const auto model = serving_model(session, planned)) goal.serving = *model;
  goal.slack = balance_slack;
  goal.pairs_per_step = tokens_per_step ? *tokens_per_step * static_cast<double>(planned.top_k())
                                        : steps.pairs.value_or(0);
  goal.dispatch = dispatch_options(session);
  return std::make_shared<const NetworkGoal>(std::move(goal));
}

void PlanGoal::apply_to(PolicyOptions& policy, Session& session, const PlannedFor& planned,
                        const PlannedSteps& steps, bool with_routes) const {
  if (balance_slack && !(*balance_slack >= 0 && *balance_slack <= 10)) {
    throw InputError("--balance-slack", "expected imbalance, 0 to 10");
  }
  if (balance_slack && !with_routes) {
    throw InputError("--balance-slack",
                     "needs to know which experts tokens choose together; expected --routes, or a "
                     "trace of tokens");
  }
  if (with_routes && (balance_slack || objective == "seconds")) {
    policy.network = network_goal(session, planned, steps);
  }
  if (planned.model) {
    policy.expert_bytes = planned.expert_sizes()->largest();
  } else if (policy.budget) {
    throw InputError("--budget-bytes", "needs --model, which says how many bytes an expert has");
  }
  policy.objective = resolve_objective(session, planned, steps.count);
  resolve_price(session, planned, steps, policy);
}

Objective PlanGoal::resolve_objective(Session& session, const PlannedFor& planned,
                                      std::size_t steps) const {
  if (tokens_per_step && (*tokens_per_step < 1 || *tokens_per_step > 1e12)) {
    throw InputError("--tokens-per-step", "expected a number of tokens, 1 to 10^12");
  }
  Objective goal{.top_k = static_cast<double>(planned.top_k()),
                 .steps = static_cast<double>(steps),
                 .tokens_per_step = tokens_per_step};
  if (objective == "activated") {
    goal.per_token = 0;
    goal.per_active = 1;
  } else if (objective == "seconds") {
    const ServingParameters serves = serving_of(session, planned, serving, "--objective");
    goal.per_token = serves.expert_per_token.count();
    goal.per_active = serves.expert_floor.count();
  }
  return goal;
}

std::optional<ServingParameters> PlanGoal::serving_if_known(Session& session,
                                                            const PlannedFor& planned) const {
  if (!planned.cluster || !planned.model) return {};
  const std::vector<std::string> shipped = session.shipped("serving");
  const bool known = std::ranges::find(shipped, planned.cluster->name) != shipped.end();
  if (!serving && !known) return {};
  try {
    return read_serving(session, planned, serving);
  } catch (const InputError&) {  // the machine has no rate for the model's dtype
    if (serving) throw;
    return {};
  }
}

PlanGoal PlanGoal::of_replay(std::optional<double> tokens,
                             std::optional<std::string> served_by) const {
  PlanGoal goal = *this;
  goal.tokens_per_step = tokens;
  goal.serving = std::move(served_by);
  return goal;
}

DispatchOptions PlanGoal::dispatch_options(Session& session) const {
  return {.rule = parse_dispatch_rule(dispatch), .seed = session.seed()};
}

void PlanGoal::resolve_price(Session& session, const PlannedFor& planned, const PlannedSteps& steps,
                             PolicyOptions& policy) const {
  if (!price_steps) return;
  const ServingParameters serves = serving_of(session, planned, serving, "--price");
  const Bytes bytes = planned.expert_sizes()->mean();
  std::optional<double> pairs = steps.pairs;
  if (tokens_per_step) {
    pairs = *tokens_per_step * static_cast<double>(planned.top_k());
  }
  if (!pairs) {
    throw InputError("--price",
                     "seconds:H needs --tokens-per-step here: the trace is read while it is "
                     "served");
  }
  const MovePrice price =
      move_price(serves, *planned.cluster, bytes,
                 *pairs / static_cast<double>(planned.topology.ranks()), *price_steps);
  policy.price = price.imbalance;
  policy.inter_node_price = price.inter_node;
}

}  // namespace moeshift::cli
