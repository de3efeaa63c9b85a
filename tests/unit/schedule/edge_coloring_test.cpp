// SPDX-License-Identifier: Apache-2.0
#include "moeshift/schedule/edge_coloring.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "moeshift/core/rng.hpp"

#include "tests/support/catch.hpp"

using namespace moeshift;

TEST_CASE("colours are proper and exactly as many as the maximal degree") {
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    INFO("seed " << seed);
    Rng rng(seed);
    const std::uint32_t ports = 1 + rng.below(12);
    std::vector<PortPair> edges(rng.below(80));
    for (PortPair& edge : edges) edge = {rng.below(ports), rng.below(ports)};
    const auto colours = color_edges(edges, ports, ports);
    std::set<std::pair<std::uint32_t, std::uint32_t>> sends;
    std::set<std::pair<std::uint32_t, std::uint32_t>> receives;
    std::set<std::uint32_t> used(colours.begin(), colours.end());
    for (std::size_t i = 0; i < edges.size(); ++i) {
      REQUIRE(sends.emplace(edges[i].sender, colours[i]).second);
      REQUIRE(receives.emplace(edges[i].receiver, colours[i]).second);
    }
    REQUIRE(used.size() == max_degree(edges, ports, ports));
    REQUIRE((used.empty() || *used.rbegin() + 1 == used.size()));
  }
}

TEST_CASE("no edges need no colours") {
  REQUIRE(color_edges({}, 4, 4).empty());
  REQUIRE(max_degree({}, 4, 4) == 0);
}
