// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/plan/plan_request.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "moeshift/plan/deadline.hpp"
#include "moeshift/plan/layered_planner.hpp"
#include "moeshift/plan/registry.hpp"

#include "apps/moeshift/cli/option_value.hpp"
#include "apps/moeshift/cli/session.hpp"

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

PlanProblem problem_for(const PlanRequest& request, const PlannedFor& planned, std::uint64_t seed) {
  std::vector<RankId> inactive = parse_ranks("--inactive", request.inactive);
  std::sort(inactive.begin(), inactive.end());
  return {.load = {},
          .samples = {},
          .topology = planned.topology,
          .slots = planned.slots,
          .expert_groups = planned.expert_groups,
          .seed = seed,
          .inactive = std::move(inactive),
          .rank_speed = planned.rank_speed};
}

/// The best for what is given: several windows, or a placement in force, are what `robust` looks
/// at; a single load is best met by a fresh plan. An option that only some policies heed asks for
/// one of them.
std::string best_policy(const PlanRequest& request, const PlanProblem& problem) {
  const PolicyOptions& asked = request.policy_options;
  const PolicyOptions usual;
  if (asked.home != usual.home) return "hierarchical";
  if (asked.hierarchy != usual.hierarchy) return "deepseek";
  if (asked.target_gap != usual.target_gap) return "incremental";
  if (asked.risk != usual.risk || asked.price || request.goal.price_steps || asked.budget)
    return "robust";
  return problem.old != nullptr || problem.samples.size() > 1 ? "robust" : "balanced";
}

}  // namespace

void PlanRequest::declare_shape(Options& options) {
  shape.declare(options);
  options.choice("--policy", policy, policy_names(),
                 "who plans; see `moeshift policies`; default: robust with --from or several "
                 "steps, else balanced");
}

void PlanRequest::declare_inactive(Options& options) {
  options.list("--inactive", inactive, "ranks that hold nothing, as 3,7");
}

void PlanRequest::declare_goal(Options& options) {
  options.section("policy");
  declare_policy_options(options, policy_options, goal.price_steps);
  options.section("goal");
  goal.declare(options);
}

MadePlan::MadePlan(Session& session, PlanRequest request, const PlannedLoads& loads,
                   PlannedFor planned, std::optional<Placement> old)
    : request_(std::move(request)),
      steps_(loads.steps()),
      planned_(std::move(planned)),
      old_(std::move(old)),
      sizes_(planned_.expert_sizes()),
      problem_(problem_for(request_, planned_, session.seed())),
      plan_{Placement(1, 1, IdMatrix<LayerId, SlotId, ExpertId>(0, 1)), {}} {
  loads.give_to(problem_);
  if (old_) problem_.old = &*old_;
  if (request_.policy.empty()) {
    request_.policy = best_policy(request_, problem_);
  }
  if (request_.policy_options.from_scratch && !old_ && request_.policy == "robust") {
    session.mention("--from-scratch is not used: there is no --from");
  }
  request_.goal.say_unused(session, planned_);
  const std::size_t steps = request_.forecaster ? 1 : steps_;
  const PlannedSteps planned_steps = steps_of(problem_.load, steps);
  problem_.routes = request_.routes.get();
  network_ = std::make_unique<PlanNetwork>(session, planned_, request_.goal, planned_steps,
                                           request_.routes, request_.limit);
  request_.goal.apply_to(request_.policy_options, session, planned_, planned_steps,
                         request_.routes != nullptr);
  check_policy_options(session, {&request_.policy, 1}, request_.policy_options);
  const auto planner = make_planner(request_.policy, request_.policy_options);
  PlanDeadline deadline(session.progress(), request_.goal.limit());
  const auto start = std::chrono::steady_clock::now();
  plan_ = planner->plan(problem_, session.threads(), deadline);
  times_.plan = seconds_since(start);
  stopped_ = deadline.stopped();
}

void MadePlan::tighten(Threads threads) {
  if (std::exchange(tight_, true)) return;
  const auto start = std::chrono::steady_clock::now();
  tighten_bounds(problem_, threads, plan_);
  times_.bound = seconds_since(start);
}

/// Under a budget of slots: what as many slots in every layer would do, if there are enough.
std::optional<PlanResult> MadePlan::uniform_plan(Session& session) const {
  const std::optional<std::size_t>& budget = request_.policy_options.slots_budget;
  if (!budget || session.progress().interrupted()) return {};
  const std::size_t active = problem_.topology.ranks() - problem_.inactive.size();
  const std::size_t per_rank = *budget / (problem_.layers() * active);
  if (per_rank * active < problem_.experts()) return {};
  PolicyOptions options = request_.policy_options;
  options.slots_budget.reset();
  PlanProblem uniform = problem_;
  uniform.slots = std::min(per_rank, problem_.slots_per_rank()) * problem_.topology.ranks();
  return make_planner(request_.policy, options)
      ->plan(uniform, session.threads(), session.progress());
}

/// What is known of how experts move and steps go.
PlannedMachine MadePlan::machine(Session& session) const {
  return {.cluster = planned_.cluster,
          .sizes = sizes_,
          .serving = request_.goal.serving_if_known(session, planned_),
          .top_k = planned_.top_k(),
          .tokens_per_step = request_.goal.tokens_per_step,
          .steps = request_.forecaster ? 1 : steps_};
}

PlanAnswer MadePlan::answer(Session& session) const {
  const DispatchOptions rule = network_->rule();
  return {.policy = request_.policy,
          .steps = steps_,
          .trace = planned_.trace,
          .world = planned_.world,
          .problem = problem_,
          .plan = plan_,
          .times = times_,
          .objective = request_.goal.objective,
          .goal = request_.policy_options.objective,
          .dispatch = request_.goal.dispatch,
          .rule = rule,
          .network = network_->figures(problem_, plan_),
          .expert_sizes = sizes_,
          .slots_budget = request_.policy_options.slots_budget,
          .uniform = uniform_plan(session),
          .change = before_and_after(problem_, plan_, rule, machine(session), session.threads())};
}

}  // namespace moeshift::cli
