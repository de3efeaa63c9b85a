// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/warm/scratch_plan.hpp"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "moeshift/plan/search/coverage.hpp"
#include "moeshift/plan/search/rank_speed.hpp"

namespace moeshift {

LayerPlan plan_from_scratch(const LayerProblem& problem, const IncrementalOptions& options) {
  const WindowLoads loads = windows_of(problem, options.use_samples);
  LayerPlan plan;
  double least = std::numeric_limits<double>::infinity();
  std::vector<std::uint32_t> best;
  for (const double deviations : {0.0, 0.7}) {
    const std::vector<double> load = loads.mean_plus_deviation(deviations);
    FreshPlan start = plan_fresh(load, problem.ranks(), problem.slots_per_rank, options.effort,
                                 problem.seed ^ problem.layer.value());
    cover(problem, load, start.experts);
    (void)balance_times(problem, load, options.effort.tolerance, start.experts);
    WindowSearchOptions search_options;
    search_options.holders = holder_rule(problem);
    search_options.speed = problem.speed;
    search_options.progress = problem.progress;
    search_options.risk = options.risk;
    search_options.doubt = std::max(options.doubt, std::min(spread_of(loads), 1.0));
    search_options.max_steps = options.max_steps;
    search_options.patience = 25;
    search_options.cuts = {0.0, 0.3, 0.6, 0.8};
    WindowSearch search(loads, problem.ranks(), std::move(start.experts), {}, search_options);
    search.run();
    plan.moves_tried += start.moves_tried + search.moves_tried();
    const std::size_t prefix = search.best_prefix();
    const double risk = prefix == 0 ? search.start_risk() : search.steps()[prefix - 1].risk_after;
    if (risk < least) best = search.placement_after(prefix);
    least = std::min(least, risk);
    if (loads.windows == 1 || problem.stopped()) break;
  }
  for (const std::uint32_t e : best) plan.slots.emplace_back(e);
  relabel(problem, options.links, exchangeable_ranks(problem), plan.slots);
  return plan;
}

}  // namespace moeshift
