// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <ctime>

#include <sys/resource.h>

#include "tests/bench/plan_quality/instances.hpp"
#include "tests/bench/plan_quality/parts.hpp"

namespace moeshift::quality {
namespace {

double peak_gib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / (1024.0 * 1024.0);
}

void row(const char* policy, const PolicyOptions& options, const PlanProblem& problem,
         double goal_seconds) {
  const std::clock_t before = std::clock();
  const double seconds = best_ms(3, [&] { (void)plan_by(policy, options, problem); }) / 1000;
  const double processor =
      static_cast<double>(std::clock() - before) / static_cast<double>(CLOCKS_PER_SEC) / 3;
  const PlanResult plan = plan_by(policy, options, problem);
  double gap = 0;
  for (const LayerVerdict& layer : plan.layers) {
    gap += layer.gap / static_cast<double>(plan.layers.size());
  }
  Moves moves;
  if (problem.old != nullptr) {
    moves = moves_between(*problem.old, plan.placement, problem.topology);
  }
  std::printf(
      "%-12s %-7s %6.2f s (%.2f s of processor time)  balancedness %.4f  gap %.2f %%  %.1f "
      "transfers per layer  "
      "peak %.2f GiB  %s\n",
      policy, effort_name(options.effort), seconds, processor,
      balancedness_of(problem.load, plan.placement), 100 * gap, moves.all, peak_gib(),
      goal_seconds > 0 ? verdict(seconds <= goal_seconds && peak_gib() <= 2) : "");
  std::fflush(stdout);
}

}  // namespace

void scale() {
  std::printf(
      "\n== scale: 94 layers x 512 experts, 1,024 ranks x 4 slots on 128 nodes, two threads "
      "(best of 3; memory of the whole program so far)\n");
  const Shape shape{512, 1024, 4, 128};
  const std::vector<LoadMatrix> windows = drifting_windows(94, 512, 0.9, 2, 3);
  PlanProblem problem = problem_of(windows[0], shape);
  row("balanced", {}, problem, 5);
  const PlanResult old = plan_by("balanced", {}, problem);
  problem.load = windows[1];
  problem.old = &old.placement;
  row("incremental", {}, problem, 2);
  row("balanced", {}, problem, 5);
  problem.samples = windows;
  row("robust", {}, problem, 0);
}

}  // namespace moeshift::quality
