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

/// The same for jobs of different sizes.
std::int64_t best_bytes(const std::vector<std::vector<std::uint32_t>>& candidates,
                        const std::vector<std::int64_t>& sizes, std::vector<std::int64_t>& bytes,
                        std::size_t job = 0) {
  if (job == candidates.size()) return *std::max_element(bytes.begin(), bytes.end());
  std::int64_t best = 1000;
  for (const std::uint32_t port : candidates[job]) {
    bytes[port] += sizes[job];
    best = std::min(best, best_bytes(candidates, sizes, bytes, job + 1));
    bytes[port] -= sizes[job];
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

TEST_CASE("jobs of different sizes leave the busiest port close to the best of all assignments") {
  double sum = 0;
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    INFO("seed " << seed);
    Rng rng = Rng::stream(1, seed);
    const std::uint32_t ports = 1 + rng.below(4);
    std::vector<std::vector<std::uint32_t>> candidates(1 + rng.below(7));
    std::vector<std::int64_t> sizes;
    Candidates list;
    for (auto& job : candidates) {
      for (std::uint32_t port = 0; port < ports; ++port) {
        if (rng.below(2) == 0) job.push_back(port);
      }
      if (job.empty()) job.push_back(rng.below(ports));
      for (const std::uint32_t port : job) list.add_port(port);
      list.end_job();
      sizes.push_back(1 + rng.below(3));
    }
    std::vector<std::int64_t> none(ports, 0);
    const std::int64_t best = best_bytes(candidates, sizes, none);
    std::vector<std::int64_t> bytes(ports, 0);
    const auto chosen = assign_balanced_by_size(list, sizes, ports);
    for (std::uint32_t job = 0; job < chosen.size(); ++job) {
      REQUIRE(chosen[job] >= list.first[job]);
      REQUIRE(chosen[job] < list.first[job + 1]);
      bytes[list.ports[chosen[job]]] += sizes[job];
    }
    const std::int64_t most = *std::max_element(bytes.begin(), bytes.end());
    REQUIRE(most <= 2 * best);
    sum += static_cast<double>(most) / static_cast<double>(best);
    std::vector<std::uint32_t> loads(ports, 0);
    const std::vector<std::int64_t> alike(sizes.size(), 5);
    REQUIRE(assign_balanced_by_size(list, alike, ports) == assign_balanced(list, loads));
  }
  CHECK(sum < 1000 * 1.05);
}
