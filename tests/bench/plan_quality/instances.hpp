// SPDX-License-Identifier: Apache-2.0
// The instances that plans are judged on, and what they are judged by.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "moeshift/plan/planner.hpp"
#include "moeshift/plan/policy_options.hpp"
#include "moeshift/trace/window.hpp"

namespace moeshift::quality {

struct Shape {
  std::size_t experts;
  std::size_t ranks;
  std::size_t slots_per_rank;
  std::size_t nodes = 1;

  [[nodiscard]] std::size_t slots() const { return ranks * slots_per_rank; }
};

/// Independent layers: "logn.3", "logn.6", "logn.9", "zipf.5" or "dir1", each expert sampled as if
/// a layer saw 1,024 tokens per expert.
LoadMatrix synthetic_layers(const std::string& kind, std::size_t layers, std::size_t experts,
                            std::uint64_t seed);

/// Windows of drifting load: every layer mixes the profiles of six domains by the softmax of six
/// AR(1) processes (coefficient `phi`, stationary deviation 0.8) that all layers share.
std::vector<LoadMatrix> drifting_windows(std::size_t layers, std::size_t experts, double phi,
                                         std::size_t windows, std::uint64_t seed);

/// A recording beside the checkout (../shared/traces/NAME.jsonl); says so when it is not there.
std::optional<LoadWindow> recording(const std::string& name);

/// Sums of `steps` consecutive steps each; a last incomplete window is left out.
std::vector<LoadMatrix> windows_of(const std::vector<LoadMatrix>& loads, std::size_t steps);

PlanProblem problem_of(const LoadMatrix& load, const Shape& shape);

/// "fast" for one without kicks.
inline const char* effort_name(const Effort& effort) {
  return effort.kicks == 0 ? "fast" : "normal";
}

PlanResult plan_by(const std::string& policy, const PolicyOptions& options,
                   const PlanProblem& problem, std::size_t threads = 2);

/// Mean over layers of mean / peak rank load.
double balancedness_of(const LoadMatrix& load, const Placement& placement);
/// Of every layer.
std::vector<double> balancedness_by_layer(const LoadMatrix& load, const Placement& placement);

struct Moves {
  double all = 0;         ///< replicas per layer that a rank holds now and did not hold before
  double inter_node = 0;  ///< of them, those that no rank of its node held
};
Moves moves_between(const Placement& before, const Placement& after, const Topology& topology);

/// Least of `repeats` wall-clock times of `work`, in milliseconds.
double best_ms(int repeats, const std::function<void()>& work);

double mean_of_values(const std::vector<double>& values);

/// "reached" or "MISSED".
const char* verdict(bool reached);

}  // namespace moeshift::quality
