// SPDX-License-Identifier: Apache-2.0
#include "moeshift/schedule/balanced_assignment.hpp"

#include <algorithm>

#include "moeshift/core/rng.hpp"

#include "tests/support/catch.hpp"

using namespace moeshift;

namespace {

/// The smallest possible maximum, by trying every choice.
std::uint32_t best_maximum(const std::vector<std::vector<std::uint32_t>>& candidates,
                           std::vector<std::uint32_t>& loads, std::size_t job = 0) {
  if (job == candidates.size()) return *std::max_element(loads.begin(), loads.end());
  std::uint32_t best = 1000;
  for (const std::uint32_t port : candidates[job]) {
    ++loads[port];
    best = std::min(best, best_maximum(candidates, loads, job + 1));
    --loads[port];
  }
  return best;
}

}  // namespace

TEST_CASE("the busiest port has no more to do than in the best of all assignments") {
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    INFO("seed " << seed);
    Rng rng(seed);
    const std::uint32_t ports = 1 + rng.below(5);
    std::vector<std::vector<std::uint32_t>> candidates(rng.below(8));
    for (auto& job : candidates) {
      for (std::uint32_t port = 0; port < ports; ++port) {
        if (rng.below(3) == 0) job.push_back(port);
      }
      if (job.empty()) job.push_back(rng.below(ports));
    }
    std::vector<std::uint32_t> loads(ports, 0);
    for (auto& load : loads) load = rng.below(2);
    auto exhaustive = loads;
    const std::uint32_t best = best_maximum(candidates, exhaustive);
    Candidates list;
    for (const auto& job : candidates) {
      for (const std::uint32_t port : job) list.add_port(port);
      list.end_job();
    }
    const auto chosen = assign_balanced(list, loads);
    REQUIRE(chosen.size() == candidates.size());
    REQUIRE(*std::max_element(loads.begin(), loads.end()) == best);
  }
}

TEST_CASE("among equal ports the first candidate is taken") {
  std::vector<std::uint32_t> loads(3, 0);
  REQUIRE(assign_balanced({{2, 0, 0, 1}, {0, 2, 4}}, loads) == std::vector<std::uint32_t>{0, 2});
}
