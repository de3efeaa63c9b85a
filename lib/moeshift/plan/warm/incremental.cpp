// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/warm/incremental.hpp"

#include <atomic>
#include <memory>
#include <utility>

#include "moeshift/core/error.hpp"
#include "moeshift/forecast/persistence.hpp"
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

/// Layers then see `windows` instead of those of the problem.
void look_at(std::span<const LoadMatrix> windows, std::vector<LayerProblem>& layers) {
  for (LayerProblem& layer : layers) {
    layer.samples.clear();
    for (const LoadMatrix& window : windows) layer.samples.push_back(window.row(layer.layer));
  }
}

/// Every layer for itself.
std::vector<LayerPlan> plan_warm(const std::vector<LayerProblem>& layers,
                                 const IncrementalOptions& options, Threads threads,
                                 Progress& progress) {
  std::vector<LayerPlan> plans(layers.size());
  std::atomic<std::uint64_t> done = 0;
  parallel_for(layers.size(), threads, [&](std::size_t i) {
    const bool late = progress.interrupted();
    const WarmLayer search(layers[i], late ? hasty(options) : options);
    plans[i] = search.take(search.best_prefix());
    plans[i].hasty = layers[i].stopped();
    progress.update("plan layers", ++done, layers.size());
  });
  return plans;
}

/// All layers' searches first: what one gets depends on what the others can make of the budget.
std::vector<LayerPlan> plan_under_budget(const std::vector<LayerProblem>& layers,
                                         const IncrementalOptions& options, Threads threads,
                                         Progress& progress) {
  std::vector<std::unique_ptr<WarmLayer>> searches(layers.size());
  std::vector<std::uint8_t> late(layers.size(), 0);
  std::atomic<std::uint64_t> done = 0;
  parallel_for(layers.size(), threads, [&](std::size_t i) {
    const bool out_of_time = progress.interrupted();
    searches[i] = std::make_unique<WarmLayer>(layers[i], out_of_time ? hasty(options) : options);
    late[i] = layers[i].stopped() ? 1 : 0;
    progress.update("plan layers", ++done, layers.size());
  });
  std::vector<std::vector<TrajectoryPoint>> trajectories;
  for (const auto& search : searches) trajectories.push_back(search->trajectory());
  const std::vector<std::size_t> prefixes = spread_budget(trajectories, *options.budget_transfers);
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
  std::vector<LayerProblem> layers = layers_of(problem, &progress);
  std::vector<LoadMatrix> scenarios;
  if (options_.use_samples && !problem.scenarios && problem.samples.size() > 1) {
    scenarios = read_windows(problem.samples, threads).scenarios;
    look_at(scenarios, layers);
  }
  check_distinct_feasible(layers.front());
  if (problem.old == nullptr && options_.needs_old) {
    throw InputError("", "incremental needs an old placement to start from");
  }
  if (problem.old != nullptr && !options_.from_scratch) {
    const auto plan = options_.budget_transfers ? plan_under_budget : plan_warm;
    return assemble(problem, plan(layers, options_, threads, progress), threads);
  }
  std::vector<LayerPlan> plans(layers.size());
  std::atomic<std::uint64_t> done = 0;
  parallel_for(layers.size(), threads, [&](std::size_t i) {
    const bool late = progress.interrupted();
    plans[i] = plan_from_scratch(layers[i], late ? hasty(options_) : options_);
    plans[i].hasty = layers[i].stopped();
    progress.update("plan layers", ++done, layers.size());
  });
  return assemble(problem, std::move(plans), threads);
}

}  // namespace moeshift
