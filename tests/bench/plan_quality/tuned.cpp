// SPDX-License-Identifier: Apache-2.0
// The numbers of plan/tuned.hpp, each alone at half and at twice its value: what it is worth.
#include "moeshift/plan/tuned.hpp"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "moeshift/core/progress.hpp"
#include "moeshift/plan/fresh/balanced.hpp"
#include "moeshift/plan/registry.hpp"
#include "moeshift/plan/warm/incremental.hpp"

#include "tests/bench/plan_quality/instances.hpp"
#include "tests/bench/plan_quality/parts.hpp"
#include "tests/bench/plan_quality/replanning.hpp"
#include "tests/bench/plan_quality/traffic.hpp"

namespace moeshift::quality {
namespace {

constexpr double kFactors[] = {0.5, 1, 2};

/// A sequence of windows that policies follow.
struct Sequence {
  std::vector<LoadMatrix> windows;
  Shape shape;
};

std::vector<Sequence> sequences() {
  constexpr std::size_t kWindows = 16;
  constexpr std::size_t kLayers = 3;
  const Shape shape{64, 16, 5, 2};
  std::vector<Sequence> all;
  for (const TrafficKind& kind : traffic_kinds()) {
    all.push_back({kind.windows(kLayers, shape.experts, kWindows, 78), shape});
  }
  const struct {
    const char* name;
    Shape shape;
    std::size_t steps;  ///< in a window
  } recorded[] = {{"gpt_oss_20b_serving_mixed", {32, 8, 5, 1}, 4},
                  {"deepseek_v2_lite_esft_shift", {64, 16, 5, 2}, 1},
                  {"olmoe_1b_7b_domains", {64, 16, 5, 2}, 1}};
  for (const auto& row : recorded) {
    if (const auto trace = recording(row.name)) {
      all.push_back({windows_of(trace->loads, row.steps), row.shape});
    }
  }
  return all;
}

/// Means over all sequences: balancedness of the window after each plan, transfers per layer.
void follow(const std::vector<Sequence>& all, const std::string& policy,
            const IncrementalOptions& options, const char* constant, double value) {
  double balance = 0;
  double transfers = 0;
  for (const Sequence& one : all) {
    const Outcome outcome =
        replan({.windows = one.windows,
                .shape = one.shape,
                .first = std::min<std::size_t>(4, one.windows.size() / 3)},
               {.name = policy,
                .policy = policy,
                .forecaster = policy == "robust" ? "recentred:16:auto" : "ewma:0.5",
                .planner = std::make_shared<IncrementalPlanner>(options)});
    balance += outcome.balance / static_cast<double>(all.size());
    transfers += outcome.moves.all / static_cast<double>(all.size());
  }
  std::printf("%-12s %-16s %-10.5g  balancedness on the next window %.4f  transfers %5.2f\n",
              policy.c_str(), constant, value, balance, transfers);
  std::fflush(stdout);
}

void warm_constants() {
  const std::vector<Sequence> all = sequences();
  const struct {
    const char* name;
    double IncrementalOptions::* value;
  } constants[] = {{"kRobustPrice", &IncrementalOptions::price},
                   {"kSettledShare", &IncrementalOptions::settled},
                   {"kRebuildShare", &IncrementalOptions::rebuild_share},
                   {"kRobustDoubt", &IncrementalOptions::doubt}};
  for (const auto& constant : constants) {
    for (const double factor : kFactors) {
      IncrementalOptions options = robust_options({});
      options.*constant.value *= factor;
      follow(all, "robust", options, constant.name, options.*constant.value);
    }
  }
  for (const double factor : kFactors) {
    IncrementalOptions options = incremental_options({});
    options.doubt *= factor;
    follow(all, "incremental", options, "kIncrementalDoubt", options.doubt);
  }
}

/// Mean gap to the bound and milliseconds of a fresh plan of synthetic loads.
void fresh(const Shape& shape, const Effort& effort, const char* constant, std::size_t value) {
  const BalancedPlanner planner(effort, 1e-3, {});
  NoProgress progress;
  double gap = 0;
  double ms = 0;
  int layers = 0;
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    const LoadMatrix load = synthetic_layers("zipf.5", 8, shape.experts, seed);
    const PlanProblem problem = problem_of(load, shape);
    ms += best_ms(1, [&] { (void)planner.plan(problem, Threads{2}, progress); }) / 4;
    for (const LayerVerdict& layer : planner.plan(problem, Threads{2}, progress).layers) {
      gap += layer.gap;
      ++layers;
    }
  }
  std::printf("balanced     %-16s %-10zu  gap %.4f %%  %.2f ms for 8 layers of %zu ranks x %zu\n",
              constant, value, 100 * gap / layers, ms, shape.ranks, shape.slots_per_rank);
  std::fflush(stdout);
}

void fresh_constants() {
  const struct {
    const char* name;
    std::size_t Effort::* value;
    Shape shape;
  } constants[] = {{"kPairIterations", &Effort::pair_iterations, {256, 144, 2, 18}},
                   {"kLargeKicks", &Effort::large_kicks, {256, 96, 3, 12}},
                   {"kPatience", &Effort::patience, {256, 96, 3, 12}}};
  for (const auto& constant : constants) {
    for (const double factor : kFactors) {
      Effort effort;
      std::size_t& value = effort.*constant.value;
      value = static_cast<std::size_t>(static_cast<double>(value) * factor);
      fresh(constant.shape, effort, constant.name, value);
    }
  }
}

}  // namespace

void tuned() {
  std::printf(
      "\n== tuned: the numbers of plan/tuned.hpp at half, once and twice their value, the others "
      "as "
      "they are; eighteen kinds of traffic and the recordings beside the checkout\n");
  std::fflush(stdout);
  warm_constants();
  fresh_constants();
}

}  // namespace moeshift::quality
