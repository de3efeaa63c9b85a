// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/warm/incremental.hpp"

#include <atomic>
#include <memory>
#include <utility>

#include "moeshift/core/error.hpp"
#include "moeshift/plan/warm/scratch_plan.hpp"
#include "moeshift/plan/warm/spread_budget.hpp"
#include "moeshift/plan/warm/warm_layer.hpp"

namespace moeshift {
namespace {

/// What is left of a search when time has run out.
IncrementalOptions hasty(IncrementalOptions options) {
  options.effort = least_effort();
  options.max_steps = 0;
  return options;
}

std::vector<LayerPlan> plan_warm(const std::vector<LayerProblem>& layers,
                                 const IncrementalOptions& options, Threads threads,
                                 Progress& progress) {
  std::vector<std::unique_ptr<WarmLayer>> searches(layers.size());
  std::vector<std::uint8_t> late(layers.size(), 0);
  std::atomic<std::uint64_t> done = 0;
  parallel_for(layers.size(), threads, [&](std::size_t i) {
    late[i] = progress.interrupted() ? 1 : 0;
    searches[i] = std::make_unique<WarmLayer>(layers[i], late[i] ? hasty(options) : options);
    progress.update("plan layers", ++done, layers.size());
  });
  std::vector<std::size_t> prefixes(layers.size());
  if (options.budget_transfers) {
    std::vector<std::vector<TrajectoryPoint>> trajectories;
    for (const auto& search : searches) trajectories.push_back(search->trajectory());
    prefixes = spread_budget(trajectories, *options.budget_transfers);
  } else {
    for (std::size_t i = 0; i < layers.size(); ++i) prefixes[i] = searches[i]->best_prefix();
  }
  std::vector<LayerPlan> plans(layers.size());
  parallel_for(layers.size(), threads, [&](std::size_t i) {
    plans[i] = searches[i]->take(prefixes[i]);
    plans[i].hasty = late[i] != 0;
  });
  return plans;
}

}  // namespace

PlanResult IncrementalPlanner::plan(const PlanProblem& problem, Threads threads,
                                    Progress& progress) const {
  const std::vector<LayerProblem> layers = layers_of(problem);
  check_distinct_feasible(layers.front());
  if (problem.old == nullptr && options_.needs_old) {
    throw InputError("", "incremental needs an old placement to start from");
  }
  if (problem.old != nullptr && !options_.from_scratch) {
    return assemble(problem, plan_warm(layers, options_, threads, progress), threads);
  }
  std::vector<LayerPlan> plans(layers.size());
  std::atomic<std::uint64_t> done = 0;
  parallel_for(layers.size(), threads, [&](std::size_t i) {
    const bool late = progress.interrupted();
    plans[i] = plan_from_scratch(layers[i], late ? hasty(options_) : options_);
    plans[i].hasty = late;
    progress.update("plan layers", ++done, layers.size());
  });
  return assemble(problem, std::move(plans), threads);
}

}  // namespace moeshift
