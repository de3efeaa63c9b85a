// SPDX-License-Identifier: Apache-2.0
// Routes at the size of DeepSeek-V3: 58 layers x 256 experts, top-8, 32 ranks.
#include <benchmark/benchmark.h>

#include "moeshift/core/progress.hpp"
#include "moeshift/plan/registry.hpp"
#include "moeshift/plan/together/network_goal.hpp"
#include "moeshift/routing/route_summarizer.hpp"
#include "moeshift/trace/synthetic_routes.hpp"
#include "moeshift/trace/window.hpp"

namespace {

using namespace moeshift;

SyntheticRoutes large(std::size_t steps, std::size_t tokens) {
  return {.num_layers = 58,
          .num_experts = 256,
          .top_k = 8,
          .num_steps = steps,
          .tokens_per_step = tokens,
          .clique = 8,
          .affinity = 0.4};
}

void summarise(benchmark::State& state) {
  const auto reader = make_synthetic_routes(large(1, 8192));
  Routes step;
  (void)reader->next(step);
  std::size_t pairs = 0;
  for (auto unused : state) {
    RouteSummarizer summarizer(summary_for(reader->header()), 58);
    for (int i = 0; i < 4; ++i) summarizer.add(step, Threads{1});
    benchmark::DoNotOptimize(std::move(summarizer).take());
    pairs += 4 * 58 * 8192 * 8;
  }
  state.counters["pairs_per_second"] =
      benchmark::Counter(static_cast<double>(pairs), benchmark::Counter::kIsRate);
}
BENCHMARK(summarise)->Unit(benchmark::kMillisecond);

/// @param range 0: the policy alone, 1: sparing the network with a slack.
void plan(benchmark::State& state) {
  const auto trace = trace_of(make_synthetic_routes(large(4, 8192)));
  const RouteSummary routes = summarised(*trace, "synthetic", {2});
  PlanProblem problem{.load = loads_of(routes), .topology = Topology(32, 4), .slots = 288};
  problem.routes = &routes;
  PolicyOptions options;
  if (state.range(0) > 0) {
    NetworkGoal goal;
    goal.slack = 0.02;
    options.network = std::make_shared<const NetworkGoal>(goal);
  }
  const auto planner = make_planner("balanced", options);
  NoProgress silent;
  double copies = 0;
  for (auto unused : state) {
    const PlanResult result = planner->plan(problem, Threads{2}, silent);
    for (const NetworkVerdict& verdict : result.network) copies += verdict.copies;
  }
  if (state.range(0) > 0) {
    state.counters["copies"] = copies / 58 / static_cast<double>(state.iterations());
  }
}
BENCHMARK(plan)->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
