// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>

#include "moeshift/core/error.hpp"
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

void prove(const Placement& old, const Placement& next, const TransferPlan& plan,
           const std::set<RankId>& dead = {}) {
  SymbolicMemory memory(old, plan, dead);
  REQUIRE(memory.run() == "");
  REQUIRE(memory.compare(next) == "");
}

bool loses_an_expert(const Placement& old, const Placement& next, RankId dead) {
  for (const LayerId layer : all_ids<LayerId>(old.layers())) {
    const auto wanted = next.replica_counts(layer);
    const auto holders = old.logical_to_physical(layer);
    for (std::size_t expert = 0; expert < wanted.size(); ++expert) {
      const bool alive = std::any_of(holders[expert].begin(), holders[expert].end(),
                                     [&](SlotId slot) { return old.rank_of(slot) != dead; });
      if (wanted[expert] > 0 && !alive) return true;
    }
  }
  return false;
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
    prove(old, next, make_transfer_plan(old, next, topology, 1_MiB, {}, Threads{1}));
  }
}

TEST_CASE("any staging budget that holds an expert is kept and still ends in the new placement") {
  for (std::uint64_t seed = 0; seed < 5000; ++seed) {
    INFO("seed " << seed);
    Rng rng(seed);
    const Case c = random_case(rng);
    const Placement old = random_placement(c.old_shape, rng, c.empty_share);
    const Placement next = random_placement(c.new_shape, rng, c.empty_share);
    const Topology topology(std::max(old.ranks(), next.ranks()), c.nodes, c.racks);
    ScheduleOptions options;
    options.staging_bytes = 1_MiB * static_cast<std::int64_t>(1 + rng.below(3));
    const TransferPlan plan = make_transfer_plan(old, next, topology, 1_MiB, options, Threads{1});
    for (const RankId rank : plan.staging_slots.ids()) {
      REQUIRE(plan.staging_bytes(rank) <= *options.staging_bytes);
    }
    prove(old, next, plan);
  }
}

TEST_CASE("experts of dead ranks come from the living") {
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    INFO("seed " << seed);
    Rng rng(seed);
    PlacementShape shape{2, 6, 4, 4};
    const Placement old = random_placement(shape, rng);
    const Placement next = random_placement(shape, rng);
    ScheduleOptions options;
    options.dead_ranks = {RankId(rng.below(4))};
    if (rng.below(2) == 0) options.staging_bytes = 1_MiB;
    try {
      const auto plan = make_transfer_plan(old, next, Topology(4, 2), 1_MiB, options, Threads{1});
      prove(old, next, plan, {options.dead_ranks[0]});
    } catch (const InputError&) {
      REQUIRE(loses_an_expert(old, next, options.dead_ranks[0]));
    }
  }
}
