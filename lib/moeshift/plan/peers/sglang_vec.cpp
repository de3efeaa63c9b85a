// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/peers/sglang_vec.hpp"

#include <algorithm>
#include <limits>

#include "moeshift/plan/peers/eplb.hpp"

namespace moeshift {
namespace {

/// The hottest replica of a window, and the hottest of all other experts.
struct Hottest {
  std::uint32_t expert = 0;
  double load = -1;
  double next = 0;
};

Hottest hottest_of(std::span<const double> window, std::span<const std::uint32_t> counts) {
  Hottest hottest;
  for (std::uint32_t e = 0; e < window.size(); ++e) {
    const double load = window[e] / counts[e];
    if (load > hottest.load) {
      hottest.next = std::max(0.0, hottest.load);
      hottest.load = load;
      hottest.expert = e;
    } else {
      hottest.next = std::max(hottest.next, load);
    }
  }
  return hottest;
}

}  // namespace

std::vector<std::uint32_t> counts_over_windows(std::span<const std::span<const double>> windows,
                                               std::size_t slots) {
  const std::size_t experts = windows.front().size();
  std::vector<std::uint32_t> counts(experts, 1);
  std::vector<double> gain(experts);
  for (std::size_t placed = experts; placed < slots; ++placed) {
    std::fill(gain.begin(), gain.end(), 0.0);
    for (const std::span<const double> window : windows) {
      const Hottest hottest = hottest_of(window, counts);
      const double after = window[hottest.expert] / (counts[hottest.expert] + 1);
      gain[hottest.expert] += hottest.load - std::max(hottest.next, after);
    }
    ++counts[static_cast<std::size_t>(std::max_element(gain.begin(), gain.end()) - gain.begin())];
  }
  return counts;
}

LayerPlan SglangVecPlanner::plan_layer(const LayerProblem& problem) const {
  std::vector<std::span<const double>> windows = problem.samples;
  if (windows.empty()) windows.push_back(problem.load);
  const std::vector<std::uint32_t> counts = counts_over_windows(windows, problem.slots());
  std::vector<std::uint32_t> replicas;
  std::vector<float> loads;
  for (std::uint32_t e = 0; e < problem.experts(); ++e) {
    replicas.insert(replicas.end(), counts[e], e);
    loads.insert(loads.end(), counts[e], static_cast<float>(problem.load[e] / counts[e]));
  }
  const Packing packed = pack_snake(loads, problem.ranks());
  LayerPlan plan{.slots = std::vector<ExpertId>(problem.slots())};
  for (std::size_t i = 0; i < replicas.size(); ++i) {
    plan.slots[packed.pack[i] * problem.slots_per_rank + packed.position[i]] =
        ExpertId(replicas[i]);
  }
  return plan;
}

}  // namespace moeshift
