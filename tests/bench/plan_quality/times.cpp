// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <utility>
#include <vector>

#include "tests/bench/plan_quality/instances.hpp"
#include "tests/bench/plan_quality/parts.hpp"

namespace moeshift::quality {
namespace {

constexpr int kRepeats = 25;

/// Processor time of the program: what a busy machine does not change.
double processor_ms() {
  return 1000.0 * static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

void row(const char* name, const char* policy, const PolicyOptions& options,
         const PlanProblem& problem, double goal) {
  double processor = 1e9;
  double one = 1e9;
  double two = 1e9;
  for (int i = 0; i < kRepeats; ++i) {  // in turn, so that a busy machine is busy for both
    const double before = processor_ms();
    one = std::min(one, best_ms(1, [&] { (void)plan_by(policy, options, problem, 1); }));
    processor = std::min(processor, processor_ms() - before);
    two = std::min(two, best_ms(1, [&] { (void)plan_by(policy, options, problem, 2); }));
  }
  std::printf("%-10s G%-4zu k%zu  %-12s %-8s %8.2f %8.2f %8.2f  %5.2f  ", name,
              problem.topology.ranks(), problem.slots_per_rank(), policy,
              effort_name(options.effort), processor, one, two, one / two);
  if (goal > 0) std::printf("<= %.0f ms on two: %s", goal, verdict(two <= goal));
  std::printf("\n");
  std::fflush(stdout);
}

void fresh_rows(const char* name, const LoadMatrix& load) {
  PolicyOptions options;
  PolicyOptions fast;
  fast.effort = effort_named("fast");
  const struct {
    Shape shape;
    double goal;
  } rows[] = {{{256, 32, 9}, 8},
              {{256, 64, 5}, 20},
              {{256, 72, 4}, 20},
              {{256, 96, 3}, 0},
              {{256, 144, 2}, 28}};
  for (const auto& [shape, goal] : rows) {
    const PlanProblem problem = problem_of(load, shape);
    row(name, "balanced", options, problem, goal);
    row(name, "balanced", fast, problem, shape.ranks == 32 ? 2 : 0);
    row(name, "deepseek", options, problem, 0);
  }
}

/// One layer of a problem, as an engine that re-plans layer by layer asks.
PlanProblem one_layer(const PlanProblem& problem, LayerId layer, const Placement& old) {
  const auto row_of = [&](const LoadMatrix& load) {
    LoadMatrix row(1, load.columns());
    std::copy(load.row(layer).begin(), load.row(layer).end(), row.items().begin());
    return row;
  };
  PlanProblem one = problem;
  one.load = row_of(problem.load);
  one.samples.clear();
  for (const LoadMatrix& sample : problem.samples) one.samples.push_back(row_of(sample));
  one.old = &old;
  return one;
}

void one_layer_row(const char* policy, const PlanProblem& problem) {
  std::vector<double> ms;
  for (const LayerId layer : problem.load.row_ids()) {
    IdMatrix<LayerId, SlotId, ExpertId> slots(1, problem.slots);
    const auto old_row = problem.old->layer(layer);
    std::copy(old_row.begin(), old_row.end(), slots.row(LayerId(0)).begin());
    const Placement old(problem.experts(), problem.topology.ranks(), std::move(slots));
    const PlanProblem one = one_layer(problem, layer, old);
    ms.push_back(best_ms(9, [&] { (void)plan_by(policy, {}, one, 1); }));
  }
  std::sort(ms.begin(), ms.end());
  std::printf("one layer  G%-4zu k%zu  %-12s median %.3f ms (<= 0.3: %s), 90 %% within %.3f\n",
              problem.topology.ranks(), problem.slots_per_rank(), policy, ms[ms.size() / 2],
              verdict(ms[ms.size() / 2] <= 0.3), ms[ms.size() * 9 / 10]);
  std::fflush(stdout);
}

/// Re-planning after one more window of drift.
void warm_rows() {
  for (const Shape& shape :
       {Shape{256, 32, 9, 4}, Shape{256, 64, 5, 8}, Shape{256, 72, 4, 9}, Shape{256, 144, 2, 18}}) {
    const std::vector<LoadMatrix> windows = drifting_windows(58, 256, 0.9, 10, 5);
    PlanProblem before = problem_of(windows[8], shape);
    before.samples.assign(windows.begin(), windows.begin() + 8);
    const PlanResult old = plan_by("robust", {}, before);
    PlanProblem now = problem_of(windows[9], shape);
    now.samples.assign(windows.begin() + 1, windows.begin() + 9);
    now.old = &old.placement;
    const double goal = shape.ranks == 32 ? 7 : 0;
    row("drift", "robust", {}, now, goal);
    row("drift", "incremental", {}, now, goal);
    one_layer_row("robust", now);
    one_layer_row("incremental", now);
    const PlanResult initial = plan_by("static", {}, before);
    now.old = &initial.placement;
    row("initial", "robust", {}, now, 0);
    row("initial", "incremental", {}, now, 0);
  }
}

/// DeepSeek-V3 prefill, from a plan of the first window: `incremental` to the next, `robust` on
/// all.
void recorded_warm_rows() {
  const auto trace = recording("deepseek_v3_sglang6017_prefill");
  if (!trace) return;
  const Shape shape{256, 32, 9, 4};
  const PlanResult old = plan_by("balanced", {}, problem_of(trace->loads[0], shape));
  PlanProblem now = problem_of(trace->loads[1], shape);
  now.old = &old.placement;
  row("V3", "incremental", {}, now, 7);
  now.samples = trace->loads;
  row("V3", "robust", {}, now, 7);
}

}  // namespace

void times() {
  std::printf(
      "\n== times: 58 layers x 256 experts, ms on one and two threads (best of %d), ratio\n",
      kRepeats);
  fresh_rows("logn.6", synthetic_layers("logn.6", 58, 256, 1));
  if (const auto trace = recording("deepseek_v3_sglang6017_prefill")) {
    fresh_rows("V3", trace->loads[1]);
  }
}

void warm() {
  std::printf(
      "\n== warm: the same, re-planning after one more window of drift (`drift`) or moving "
      "away from the initial map of an engine (`initial`)\n");
  recorded_warm_rows();
  warm_rows();
}

}  // namespace moeshift::quality
