// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdio>

#include "moeshift/cost/balance.hpp"
#include "moeshift/plan/layered_planner.hpp"

#include "tests/bench/plan_quality/instances.hpp"
#include "tests/bench/plan_quality/parts.hpp"

namespace moeshift::quality {
namespace {

struct Gaps {
  double mean = 0;
  double worst = 0;
};

Gaps gaps_of(const std::vector<double>& peaks, const std::vector<double>& bounds) {
  Gaps gaps;
  for (std::size_t i = 0; i < peaks.size(); ++i) {
    const double gap = gap_of(peaks[i], bounds[i]);
    gaps.mean += gap / static_cast<double>(peaks.size());
    gaps.worst = std::max(gaps.worst, gap);
  }
  return gaps;
}

std::vector<double> peaks_of(const PlanResult& result) {
  std::vector<double> peaks;
  for (const LayerVerdict& layer : result.layers) peaks.push_back(layer.peak);
  return peaks;
}

/// Goals by slots per rank; 1 = none.
Gaps goal(std::size_t k) {
  if (k >= 5) return {0.0012, 0.0025};
  if (k == 4) return {0.003, 0.006};
  if (k == 3) return {0.01, 1};
  return {0.025, 0.055};
}

void row(const char* name, const LoadMatrix& load, const Shape& shape) {
  const PlanProblem problem = problem_of(load, shape);
  PolicyOptions options;
  options.hierarchy = EplbMode::kGlobal;
  const PlanResult eplb = plan_by("deepseek", options, problem);
  PlanResult ours = plan_by("balanced", options, problem);
  options.effort = effort_named("fast");
  const PlanResult fast = plan_by("balanced", options, problem);
  tighten_bounds(problem, Threads{2}, ours);
  std::vector<double> bounds;
  std::size_t worse = 0;
  std::size_t doubled = 0;
  std::size_t ours_doubled = 0;
  for (std::size_t i = 0; i < ours.layers.size(); ++i) {
    bounds.push_back(ours.layers[i].lower_bound);
    worse += ours.layers[i].peak > eplb.layers[i].peak * 1.001 ? 1U : 0U;
    doubled = std::max(doubled, eplb.layers[i].duplicates);
    ours_doubled = std::max(ours_doubled, ours.layers[i].duplicates);
  }
  const Gaps theirs = gaps_of(peaks_of(eplb), bounds);
  const Gaps mine = gaps_of(peaks_of(ours), bounds);
  const Gaps quick = gaps_of(peaks_of(fast), bounds);
  const Gaps asked = goal(shape.slots_per_rank);
  const bool reached =
      mine.mean <= asked.mean && mine.worst <= asked.worst && worse == 0 && ours_doubled == 0;
  std::printf("E%-4zu G%-4zu k%zu %-8s %6.2f %6.2f  %6.3f %6.3f  %6.3f %6.3f  %5zu %5zu %5zu  %s\n",
              shape.experts, shape.ranks, shape.slots_per_rank, name, 100 * theirs.mean,
              100 * theirs.worst, 100 * mine.mean, 100 * mine.worst, 100 * quick.mean,
              100 * quick.worst, worse, doubled, ours_doubled, verdict(reached));
  std::fflush(stdout);
}

}  // namespace

void gaps() {
  std::printf("\n== gaps: peak / certified bound - 1, %%, mean and worst layer\n");
  std::printf("%-25s %-14s %-15s %-15s worse than EPLB, most doubled slots (EPLB, ours)\n", "",
              "EPLB global", "balanced", "fast");
  for (const Shape& shape : {Shape{128, 16, 9}, Shape{256, 32, 9}, Shape{512, 64, 9},
                             Shape{384, 72, 6}, Shape{256, 64, 5}, Shape{256, 72, 4},
                             Shape{256, 96, 3}, Shape{256, 144, 2}, Shape{256, 256, 2}}) {
    for (const char* kind : {"logn.3", "logn.6", "logn.9", "zipf.5", "dir1"}) {
      row(kind, synthetic_layers(kind, 58, shape.experts, 1), shape);
    }
  }
  const auto trace = recording("deepseek_v3_sglang6017_prefill");
  if (!trace) return;
  LoadMatrix every(trace->loads.size() * trace->header.num_layers, trace->header.num_experts);
  std::size_t next = 0;
  for (const LoadMatrix& load : trace->loads) {
    std::copy(load.items().begin(), load.items().end(),
              every.items().begin() + static_cast<std::ptrdiff_t>(next));
    next += load.items().size();
  }
  for (const Shape& shape : {Shape{256, 32, 9}, Shape{256, 64, 5}, Shape{256, 72, 4},
                             Shape{256, 96, 3}, Shape{256, 144, 2}}) {
    row("V3", every, shape);
  }
}

}  // namespace moeshift::quality
