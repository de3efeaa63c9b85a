// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/execute/calibrate_cases.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "moeshift/core/rng.hpp"
#include "moeshift/plan/registry.hpp"
#include "moeshift/schedule/scheduler.hpp"

namespace moeshift::cli {
namespace {

constexpr std::size_t kSlotsPerRank = 8;
constexpr double kSmallest = 32768;  // bytes of an expert
constexpr std::size_t kLayersPerStep = 4;

/// Rounded down to what slots are multiples of.
Bytes slot_of(double bytes) {
  return Bytes(static_cast<std::int64_t>(bytes) / kTensorAlignment * kTensorAlignment);
}

/// Loads of Zipf's law, in an order of their own for every layer: few experts are hot.
LoadMatrix skewed_load(std::size_t layers, std::size_t experts, Rng& rng) {
  LoadMatrix load(layers, experts);
  for (const LayerId layer : load.row_ids()) {
    std::vector<std::size_t> order(experts);
    for (std::size_t i = 0; i < experts; ++i) order[i] = i;
    for (std::size_t i = experts; i > 1; --i) {
      std::swap(order[i - 1], order[rng.below(static_cast<std::uint32_t>(i))]);
    }
    for (const ExpertId expert : load.column_ids()) {
      load(layer, expert) = 1000.0 / static_cast<double>(1 + order[expert.index()]);
    }
  }
  return load;
}

/// The ring's placements and what each step of it is called.
void plan_ring(CalibrationCase& ring, const Topology& topology, std::size_t layers,
               std::uint64_t seed, Threads threads) {
  Rng rng(seed);
  NoProgress quiet;
  const std::size_t slots = topology.ranks() * kSlotsPerRank;
  const std::size_t experts = slots - std::max<std::size_t>(slots / 8, 1);
  const std::array<std::pair<const char*, const char*>, 4> kSteps = {
      {{"deepseek", "fresh"},
       {"vllm", "full"},
       {"incremental", "incremental"},
       {"deepseek", "fresh"}}};
  for (const auto& [policy, kind] : kSteps) {
    PlanProblem problem{.load = skewed_load(layers, experts, rng),
                        .topology = topology,
                        .slots = slots,
                        .seed = seed};
    if (!ring.placements.empty()) problem.old = &ring.placements.back();
    ring.placements.push_back(make_planner(policy)->plan(problem, threads, quiet).placement);
    ring.kinds.emplace_back(kind);
  }
  // kinds[i] is how placements[i] comes about; plans[i] leads to the next one.
  std::ranges::rotate(ring.kinds, ring.kinds.begin() + 1);
}

CalibrationCase make_case(const CaseShape& shape, CaseMode mode, Bytes expert, std::size_t layers,
                          std::uint64_t seed, Threads threads) {
  const std::int64_t fit = shape.room.count() / (expert.count() * std::int64_t{kSlotsPerRank});
  layers = std::min(layers, static_cast<std::size_t>(std::max<std::int64_t>(fit, 1)));
  CalibrationCase ring;
  ring.mode = mode;
  ring.expert = expert;
  ring.layout = single_tensor_layout(expert);
  plan_ring(ring, shape.topology, layers, seed, threads);
  ScheduleOptions schedule;
  schedule.join = shape.join;
  const std::size_t count = ring.placements.size();
  for (std::size_t i = 0; i < count; ++i) {
    ring.plans.push_back(make_transfer_plan(ring.placements[i], ring.placements[(i + 1) % count],
                                            shape.topology, ring.layout.sizes(), schedule,
                                            threads));
  }
  Bytes largest;
  for (const TransferPlan& plan : ring.plans) largest = std::max(largest, largest_batch(plan));
  ring.buffers = buffer_sets(largest, shape.sets_of_small_batches);
  if (mode == CaseMode::kLockstep) ring.buffers = 1;
  return ring;
}

/// Once the ring lies where it will stay.
void link_jobs(CalibrationCase& ring) {
  const std::size_t count = ring.placements.size();
  for (std::size_t i = 0; i < count; ++i) {
    ring.jobs.push_back({&ring.plans[i], &ring.placements[i], &ring.placements[(i + 1) % count],
                         ring.layout, nullptr});
  }
  for (std::size_t i = 0; i + 1 < count; ++i) ring.jobs[i].back = &ring.jobs[i + 1];
}

/// Sizes spread evenly over the logarithms, from `first` of the way to the largest.
std::vector<Bytes> sizes_of(const CaseShape& shape, std::size_t count, double first) {
  const double span = std::log(static_cast<double>(shape.largest.count()) / kSmallest);
  std::vector<Bytes> sizes;
  for (std::size_t i = 0; i < count; ++i) {
    const double share = (static_cast<double>(i) + first) / static_cast<double>(count - 1);
    sizes.push_back(slot_of(kSmallest * std::exp(span * std::min(share, 1.0))));
  }
  return sizes;
}

}  // namespace

std::string_view name_of(CaseMode mode) {
  constexpr std::array<std::string_view, 4> kNames = {"sync", "lockstep", "layered", "async"};
  return kNames[static_cast<std::size_t>(mode)];
}

std::deque<CalibrationCase> training_cases(const CaseShape& shape, Threads threads) {
  std::deque<CalibrationCase> cases;
  std::uint64_t seed = shape.seed;
  const auto add = [&](CaseMode mode, Bytes expert, std::size_t layers) {
    cases.push_back(make_case(shape, mode, expert, layers, ++seed, threads));
    link_jobs(cases.back());
  };
  std::size_t i = 0;
  for (const Bytes expert : sizes_of(shape, 6, 0)) {
    add(CaseMode::kSync, expert, i % 2 == 0 ? 48U : 24U);
    add(CaseMode::kSync, expert, i % 2 == 0 ? 2U : 6U);
    if (i++ % 2 == 0) add(CaseMode::kLockstep, expert, 12);
  }
  return cases;
}

std::deque<CalibrationCase> held_out_cases(const CaseShape& shape, Threads threads) {
  std::deque<CalibrationCase> cases;
  std::uint64_t seed = shape.seed + 1000;
  const auto add = [&](CaseMode mode, Bytes expert, std::size_t layers) {
    cases.push_back(make_case(shape, mode, expert, layers, ++seed, threads));
    link_jobs(cases.back());
  };
  for (const Bytes expert : sizes_of(shape, 4, 0.4)) {
    for (const std::size_t layers : {3U, 16U, 58U}) add(CaseMode::kSync, expert, layers);
    add(CaseMode::kLayered, expert, 16);
    add(CaseMode::kAsync, expert, 16);
  }
  return cases;
}

Rehearsal rehearsal_of(const CalibrationCase& ring, const CaseShape& shape, std::size_t rounds,
                       std::uint64_t seed) {
  ShuffleOptions options;
  options.seed = seed;
  options.lockstep = ring.mode == CaseMode::kLockstep;
  options.buffers = ring.buffers;
  if (ring.mode == CaseMode::kLayered) options.mode = ShuffleMode::kLayered;
  if (ring.mode == CaseMode::kAsync) options.mode = ShuffleMode::kAsync;
  options.layers_per_step = kLayersPerStep;
  if (ring.mode == CaseMode::kLayered || ring.mode == CaseMode::kAsync) {
    options.foreground = ForegroundKind::kCompute;
    options.foreground_step = shape.step;
    options.undisturbed_steps = 20;
  }
  options.repeat = ring.plans.size() * (rounds + 1);
  return {ring.jobs.front(), options};
}

std::size_t repeated(const CalibrationCase& ring, const CaseShape& shape) {
  constexpr std::size_t kOften = 3;
  const auto experts = static_cast<std::int64_t>(ring.layers() * kSlotsPerRank);
  const bool unpaced = ring.mode == CaseMode::kSync || ring.mode == CaseMode::kLockstep;
  return unpaced && ring.expert * experts < shape.little ? kOften : 1;
}

CostOptions cost_options_of(const CalibrationCase& ring, Seconds step) {
  CostOptions cost;
  cost.buffers = ring.buffers;
  cost.synchronous = ring.mode != CaseMode::kAsync;
  if (ring.mode == CaseMode::kLayered) {
    cost.steps = SteppedMode{.step = step, .beside = false, .layers_per_step = kLayersPerStep};
  }
  if (ring.mode == CaseMode::kAsync) cost.steps = SteppedMode{.step = step, .beside = true};
  return cost;
}

}  // namespace moeshift::cli
