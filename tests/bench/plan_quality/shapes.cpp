// SPDX-License-Identifier: Apache-2.0
// Every policy of ours on every shape: never above the better of EPLB and no move.
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "tests/bench/plan_quality/instances.hpp"
#include "tests/bench/plan_quality/parts.hpp"

namespace moeshift::quality {
namespace {

constexpr double kTolerance = 1e-3;
constexpr std::size_t kLayers = 3;

struct Candidate {
  const char* name;
  const char* policy;
  PolicyOptions options = {};
};

std::vector<Candidate> candidates() {
  std::vector<Candidate> all = {{"balanced", "balanced"},         {"balanced, fast", "balanced"},
                                {"hierarchical", "hierarchical"}, {"incremental", "incremental"},
                                {"robust, price 0", "robust"},    {"robust", "robust"}};
  all[1].options.effort = effort_named("fast");
  all[4].options.price = 0;
  return all;
}

/// Over layers and loads: how far above the better rival, and who is how often.
struct Shortfall {
  double worst = -1;
  int above = 0;
  int layers = 0;
};

void add(const LoadMatrix& load, const PlanResult& plan, const Placement& eplb,
         const Placement& old, Shortfall& all) {
  const std::vector<double> ours = balancedness_by_layer(load, plan.placement);
  const std::vector<double> theirs = balancedness_by_layer(load, eplb);
  const std::vector<double> still = balancedness_by_layer(load, old);
  for (std::size_t layer = 0; layer < ours.size(); ++layer) {
    const double rival = std::max(theirs[layer], still[layer]);
    const double above = rival / ours[layer] - 1;
    // What only doubled experts reach is weighed, not served: the verdict says so.
    const bool by_doubling = plan.layers[layer].doubled_peak > 0 && theirs[layer] == rival;
    ++all.layers;
    if (by_doubling) continue;
    all.worst = std::max(all.worst, above);
    all.above += above > kTolerance ? 1 : 0;
  }
}

}  // namespace

void shapes() {
  std::printf(
      "\n== shapes: peak above the better of EPLB and no move on the load planned for, in %% "
      "(worst "
      "layer; layers above 0.1 %%), from EPLB's plan for an older load; `robust` stops where a "
      "transfer no longer buys its price\n%-10s",
      "");
  for (const Candidate& candidate : candidates()) std::printf("  %-18s", candidate.name);
  std::printf("\n");
  std::vector<Shortfall> overall(candidates().size());
  for (const std::size_t k : {1U, 2U, 3U, 4U, 9U}) {
    for (const std::size_t ranks : {8U, 32U, 72U, 144U, 320U}) {
      const std::size_t slots = k * ranks;
      const std::size_t experts = std::min<std::size_t>(std::max(slots * 8 / 9, k), 512);
      const Shape shape{experts, ranks, k, ranks / 8};
      std::vector<Shortfall> here(candidates().size());
      for (const char* kind : {"logn.6", "zipf.5"}) {
        const LoadMatrix before = synthetic_layers(kind, kLayers, experts, 40 + k);
        const LoadMatrix load = synthetic_layers("logn.9", kLayers, experts, 70 + ranks);
        LoadMatrix now = load;  // half of what it was
        for (std::size_t i = 0; i < now.items().size(); ++i) now.items()[i] += before.items()[i];
        PolicyOptions global;
        global.hierarchy = EplbMode::kGlobal;
        const Placement old = plan_by("deepseek", global, problem_of(before, shape)).placement;
        PlanProblem problem = problem_of(now, shape);
        const Placement eplb = plan_by("deepseek", global, problem).placement;
        problem.old = &old;
        problem.samples = {now};
        problem.evidence = 0;  // at its word: what is judged is the search, not what it believes
        for (std::size_t c = 0; c < here.size(); ++c) {
          const Candidate candidate = candidates()[c];
          add(now, plan_by(candidate.policy, candidate.options, problem), eplb, old, here[c]);
        }
      }
      std::printf("G%-4zu k%-3zu", ranks, k);
      for (std::size_t c = 0; c < here.size(); ++c) {
        std::printf("  %8.3f (%d)      ", 100 * here[c].worst, here[c].above);
        overall[c].worst = std::max(overall[c].worst, here[c].worst);
        overall[c].above += here[c].above;
        overall[c].layers += here[c].layers;
      }
      std::printf("\n");
      std::fflush(stdout);
    }
  }
  std::printf("%-10s", "all");
  for (const Shortfall& one : overall) {
    std::printf("  %8.3f (%d/%d) ", 100 * one.worst, one.above, one.layers);
  }
  std::printf("\n");
}

}  // namespace moeshift::quality
