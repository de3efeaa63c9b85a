// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdio>

#include "moeshift/plan/fresh/fresh_plan.hpp"
#include "moeshift/plan/fresh/group_homes.hpp"
#include "moeshift/plan/layered_planner.hpp"

#include "tests/bench/plan_quality/instances.hpp"
#include "tests/bench/plan_quality/parts.hpp"

namespace moeshift::quality {
namespace {

struct OffHome {
  std::size_t most = 0;  ///< replicas off home in the worst layer
  double replicas = 0;   ///< per layer
  double load = 0;       ///< share of the tokens
};

OffHome off_home(const PlanProblem& problem, const Placement& placement) {
  OffHome off;
  for (const LayerProblem& layer : layers_of(problem)) {
    const GroupHomes homes = home_groups(layer, positive_load(layer.load));
    std::vector<double> counts(layer.experts(), 0);
    for (const ExpertId e : placement.layer(layer.layer)) counts[e.index()] += 1;
    std::size_t replicas = 0;
    double tokens = 0;
    double total = 0;
    for (const RankId rank : all_ids<RankId>(placement.ranks())) {
      for (const ExpertId e : placement.rank_slots(layer.layer, rank)) {
        const double share = layer.load[e.index()] / counts[e.index()];
        total += share;
        if (homes.at_home(layer.node_of[rank.index()], e.index())) continue;
        ++replicas;
        tokens += share;
      }
    }
    off.most = std::max(off.most, replicas);
    off.replicas += static_cast<double>(replicas);
    off.load += tokens / total;
  }
  off.replicas /= static_cast<double>(problem.layers());
  off.load /= static_cast<double>(problem.layers());
  return off;
}

struct Goal {
  double balancedness = 0;
  std::size_t replicas = 0;
  double load = 1;
};

void row(const std::vector<LoadMatrix>& steps, const Shape& shape, const std::string& home,
         const Goal& goal) {
  double balancedness = 0;
  double gap = 0;
  double worst_gap = 0;
  OffHome all;
  double ms = 0;
  for (const LoadMatrix& load : steps) {
    PlanProblem problem = problem_of(load, shape);
    problem.expert_groups = 8;
    PolicyOptions options;
    options.home = home_rule(home);
    ms += best_ms(3, [&] { (void)plan_by("hierarchical", options, problem); });
    const PlanResult plan = plan_by("hierarchical", options, problem);
    const double n = static_cast<double>(steps.size());
    balancedness += balancedness_of(load, plan.placement) / n;
    for (const LayerVerdict& layer : plan.layers) {
      gap += layer.gap / n / static_cast<double>(plan.layers.size());
      worst_gap = std::max(worst_gap, layer.gap);
    }
    const OffHome off = off_home(problem, plan.placement);
    all.most = std::max(all.most, off.most);
    all.replicas += off.replicas / n;
    all.load += off.load / n;
  }
  const bool hard = home == "hard";
  const bool reached = hard ? worst_gap <= 0.01
                            : balancedness >= goal.balancedness && all.most <= goal.replicas &&
                                  all.load <= goal.load;
  std::printf("G%-3zu k%zu %zu nodes  %-10s %.4f  %6.2f %6.2f  %5.1f %5zu  %5.1f  %7.1f  %s\n",
              shape.ranks, shape.slots_per_rank, shape.nodes, home.c_str(), balancedness, 100 * gap,
              100 * worst_gap, all.replicas, all.most, 100 * all.load,
              ms / static_cast<double>(steps.size()),
              hard || goal.replicas > 0 ? verdict(reached) : "");
  std::fflush(stdout);
}

}  // namespace

void soft() {
  std::printf(
      "\n== soft: DeepSeek-V3 prefill, 8 groups: balancedness, gap %% (mean, worst; for hard to "
      "its "
      "own bound), off-home replicas (mean, most), off-home load %%, ms per 58 layers\n");
  const auto trace = recording("deepseek_v3_sglang6017_prefill");
  if (!trace) return;
  const Shape four{256, 32, 9, 4};
  const Shape eight{256, 64, 5, 8};
  row(trace->loads, four, "hard", {});
  for (const char* home : {"soft:4", "soft:8"}) row(trace->loads, four, home, {});
  row(trace->loads, four, "soft:16", {0.99, 16, 0.09});
  row(trace->loads, eight, "hard", {});
  for (const char* home : {"soft:8", "soft:16"}) row(trace->loads, eight, home, {});
  row(trace->loads, eight, "soft:32", {0.96, 32, 1});
  for (const Shape& uneven : {Shape{256, 72, 4, 9}, Shape{256, 36, 8, 9}, Shape{256, 24, 12, 3}}) {
    for (const char* home : {"soft:16", "price:0.001", "auto"}) row(trace->loads, uneven, home, {});
    double eplb = 0;
    for (const LoadMatrix& load : trace->loads) {
      PlanProblem problem = problem_of(load, uneven);
      problem.expert_groups = 8;
      eplb += balancedness_of(load, plan_by("deepseek", {}, problem).placement);
    }
    std::printf("                     EPLB       %.4f\n",
                eplb / static_cast<double>(trace->loads.size()));
  }
}

}  // namespace moeshift::quality
