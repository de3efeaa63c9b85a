// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "moeshift/schedule/scheduler.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/random_placement.hpp"
#include "tests/support/symbolic_memory.hpp"

using namespace moeshift;
using namespace moeshift::test;
using namespace moeshift::literals;

namespace {

struct Case {
  PlacementShape old_shape;
  PlacementShape new_shape;
  std::size_t nodes = 1;
  std::size_t racks = 1;
  double empty_share = 0;
};

/// Any world: one to sixteen ranks, growing, shrinking or staying.
Case random_case(Rng& rng) {
  Case c;
  c.old_shape.layers = c.new_shape.layers = 1 + rng.below(3);
  c.old_shape.ranks = 1 + rng.below(16);
  c.new_shape.ranks = rng.below(3) == 0 ? 1 + rng.below(16) : c.old_shape.ranks;
  c.old_shape.slots_per_rank = 1 + rng.below(6);
  c.new_shape.slots_per_rank = rng.below(3) == 0 ? 1 + rng.below(6) : c.old_shape.slots_per_rank;
  const std::size_t slots = std::min(c.old_shape.ranks * c.old_shape.slots_per_rank,
                                     c.new_shape.ranks * c.new_shape.slots_per_rank);
  c.old_shape.experts = c.new_shape.experts = 1 + rng.below(static_cast<std::uint32_t>(slots));
  const std::size_t ranks = std::max(c.old_shape.ranks, c.new_shape.ranks);
  c.nodes = 1 + rng.below(static_cast<std::uint32_t>(ranks));
  c.racks = 1 + rng.below(static_cast<std::uint32_t>(c.nodes));
  c.empty_share = rng.below(2) == 0 ? 0 : 0.3;
  return c;
}

}  // namespace

TEST_CASE("executing any schedule on a model of memory ends in the new placement") {
  for (std::uint64_t seed = 0; seed < 5000; ++seed) {
    INFO("seed " << seed);
    Rng rng(seed);
    const Case c = random_case(rng);
    const Placement old = random_placement(c.old_shape, rng, c.empty_share);
    const Placement next = random_placement(c.new_shape, rng, c.empty_share);
    const Topology topology(std::max(old.ranks(), next.ranks()), c.nodes, c.racks);
    const TransferPlan plan = make_transfer_plan(old, next, topology, 1_MiB, {}, Threads{1});
    SymbolicMemory memory(old, plan);
    REQUIRE(memory.run() == "");
    REQUIRE(memory.compare(next) == "");
  }
}
