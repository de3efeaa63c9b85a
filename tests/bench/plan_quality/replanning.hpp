// SPDX-License-Identifier: Apache-2.0
// Re-planning every window, and scoring each plan on the window that it did not see.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/bench/plan_quality/instances.hpp"

namespace moeshift::quality {

struct Contender {
  std::string name;
  std::string policy;
  PolicyOptions options = {};
  std::string forecaster = "ewma:0.5";
  bool replans = true;    ///< false: keeps its first plan
  bool relabels = false;  ///< names the ranks of its plans so that the least moves
  std::shared_ptr<const Planner> planner = {};  ///< re-plans instead of the policy
};

struct Outcome {
  double balance = 0;  ///< balancedness on the next window, mean over windows and layers
  std::vector<double> by_window = {};  ///< the same of every window, mean over layers
  double in_sample = 0;                ///< on the forecast planned on
  Moves moves;                         ///< per layer and re-plan
};

struct Replanning {
  const std::vector<LoadMatrix>& windows;
  Shape shape;
  std::size_t first = 1;  ///< windows seen before the first plan
  /// Where all start: "deepseek" or "robust" (its plan of the first windows), "static".
  std::string start = "deepseek";
};

Outcome replan(const Replanning& run, const Contender& contender);

}  // namespace moeshift::quality
