// SPDX-License-Identifier: Apache-2.0
// Plans where experts live from loads in memory, and again from there once the loads have changed.
#include <cstdio>
#include <exception>

#include "moeshift/core/rng.hpp"
#include "moeshift/cost/balance.hpp"
#include "moeshift/plan/registry.hpp"

namespace {

using namespace moeshift;

/// 4 layers of 64 experts, some of them hot.
LoadMatrix loads_of(std::uint64_t seed) {
  Rng rng(seed);
  LoadMatrix load(4, 64);
  for (double& tokens : load.items()) tokens = static_cast<double>(1 + rng.below(1000));
  return load;
}

void show(const char* what, const PlanResult& plan) {
  double worst = 1;
  std::size_t kept = 0;
  for (const LayerVerdict& layer : plan.layers) {
    worst = std::max(worst, layer.imbalance);
    kept += layer.keep ? 1U : 0U;
  }
  std::printf("%s: busiest rank at most %.4f of the mean, %zu of %zu layers left alone\n", what,
              worst, kept, plan.layers.size());
}

int run() {
  NoProgress silent;
  const Topology topology(8, 2);  // 8 ranks on 2 nodes
  PlanProblem problem{.load = loads_of(1), .topology = topology, .slots = 72};
  const PlanResult first = make_planner("balanced")->plan(problem, Threads{1}, silent);
  show("fresh", first);

  problem.load = loads_of(2);
  problem.old = &first.placement;
  PolicyOptions options;
  options.min_gain = 0.01;  // a layer that gains less stays
  show("from there", make_planner("incremental", options)->plan(problem, Threads{1}, silent));
  return 0;
}

}  // namespace

int main() {
  try {
    return run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
