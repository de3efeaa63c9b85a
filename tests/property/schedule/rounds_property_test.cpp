// SPDX-License-Identifier: Apache-2.0
// What no schedule can beat, worked out here from the placements alone: rounds and crossings.
#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "moeshift/schedule/routes.hpp"
#include "moeshift/schedule/scheduler.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/random_placement.hpp"

using namespace moeshift;
using namespace moeshift::test;
using namespace moeshift::literals;

namespace {

struct World {
  Placement old;
  Placement next;
  Topology topology;
};

World random_world(std::uint64_t seed) {
  Rng rng = Rng::stream(10'000, seed);
  PlacementShape shape;
  shape.ranks = 1 + rng.below(24);
  shape.slots_per_rank = 1 + rng.below(5);
  shape.experts = 1 + rng.below(static_cast<std::uint32_t>(shape.ranks * shape.slots_per_rank));
  const std::size_t nodes = 1 + rng.below(static_cast<std::uint32_t>(shape.ranks));
  Placement old = random_placement(shape, rng);
  Placement next =
      rng.below(3) == 0 ? with_swaps(old, rng.below(4), rng) : random_placement(shape, rng);
  return {std::move(old), std::move(next), Topology(shape.ranks, nodes)};
}

/// Rounds used, and messages of the busiest port: [inside nodes, between nodes].
struct Count {
  std::array<std::size_t, 2> rounds{};
  std::array<std::size_t, 2> degree{};
};

Count count_rounds(const Wave& wave) {
  Count count;
  std::array<std::map<std::pair<bool, RankId>, std::size_t>, 2> ports;
  for (const Transfer& t : wave.transfers) {
    const std::size_t between = t.link == LinkClass::kIntraNode ? 0 : 1;
    count.rounds[between] = std::max(count.rounds[between], t.round + std::size_t{1});
    for (const auto& port : {std::pair(false, t.source), std::pair(true, t.destination)}) {
      count.degree[between] = std::max(count.degree[between], ++ports[between][port]);
    }
  }
  return count;
}

bool has_tree(const Wave& wave) {
  return std::any_of(wave.transfers.begin(), wave.transfers.end(), [](const Transfer& t) {
    return t.link != LinkClass::kIntraNode && t.from.kind == Place::Kind::kStaging;
  });
}

/// Rounds between nodes that the layer would need without trees.
std::size_t rounds_without_trees(const World& world) {
  const std::size_t slots = std::max(world.old.slots_per_rank(), world.next.slots_per_rank());
  const IdVector<RankId, bool> alive(world.topology.ranks(), false);
  const LayerId layer(0);
  const LayerNeeds needs = find_needs(
      layer_slots(world.old, layer, world.topology.ranks(), slots, alive),
      layer_slots(world.next, layer, world.topology.ranks(), slots, alive), world.next.experts());
  std::map<std::pair<bool, RankId>, std::size_t> ports;
  std::size_t most = 0;
  for (const Hop& hop : choose_routes(needs, world.topology, {.trees = false})) {
    if (hop.link == LinkClass::kIntraNode) continue;
    most = std::max(most, ++ports[{false, hop.source}]);
    most = std::max(most, ++ports[{true, needs.arrivals[hop.arrival].rank}]);
  }
  return most;
}

std::set<std::pair<NodeId, ExpertId>> held_by_nodes(const Placement& placement,
                                                    const Topology& topology) {
  std::set<std::pair<NodeId, ExpertId>> held;
  for (const RankId rank : all_ids<RankId>(placement.ranks())) {
    for (const ExpertId expert : placement.rank_slots(LayerId(0), rank)) {
      if (!expert.is_none()) held.emplace(topology.node_of(rank), expert);
    }
  }
  return held;
}

}  // namespace

TEST_CASE("on 10,000 random plans rounds equal the maximal degree, or a tree needs fewer") {
  std::size_t trees = 0;
  for (std::uint64_t seed = 0; seed < 10'000; ++seed) {
    INFO("seed " << seed);
    const World world = random_world(seed);
    const TransferPlan plan =
        make_transfer_plan(world.old, world.next, world.topology, 1_MiB, {}, Threads{1});
    for (const Wave& wave : plan.layers[0].waves) {
      const Count count = count_rounds(wave);
      REQUIRE(count.rounds[0] == count.degree[0]);
      if (has_tree(wave)) {
        REQUIRE(count.rounds[1] < rounds_without_trees(world));
        ++trees;
      } else {
        REQUIRE(count.rounds[1] == count.degree[1]);
      }
    }
  }
  REQUIRE(trees > 0);
}

TEST_CASE("on 10,000 random plans every node is entered once per expert that it lacks") {
  for (std::uint64_t seed = 0; seed < 10'000; ++seed) {
    INFO("seed " << seed);
    const World world = random_world(seed);
    const auto before = held_by_nodes(world.old, world.topology);
    std::size_t lacking = 0;
    for (const auto& key : held_by_nodes(world.next, world.topology)) {
      lacking += before.count(key) == 0 ? 1U : 0U;
    }
    const TransferTotals totals =
        totals_of(make_transfer_plan(world.old, world.next, world.topology, 1_MiB, {}, Threads{1}));
    const auto between = static_cast<std::size_t>(LinkClass::kInterNode);
    REQUIRE(totals.transfers_by_link[between] == lacking);
    REQUIRE(totals.bytes_by_link[between] == 1_MiB * static_cast<std::int64_t>(lacking));
  }
}

TEST_CASE("an expert that one rank of sixteen nodes holds reaches all of them in four rounds") {
  IdMatrix<LayerId, SlotId, ExpertId> before(1, 32);
  IdMatrix<LayerId, SlotId, ExpertId> after(1, 32);
  for (const SlotId slot : before.column_ids()) {
    before(LayerId(0), slot) = ExpertId(slot.index());
    after(LayerId(0), slot) = ExpertId(slot.index() % 2 == 0 ? 0 : slot.index());
  }
  const Placement old(32, 16, std::move(before));
  const Placement next(32, 16, std::move(after));
  const auto plan = make_transfer_plan(old, next, Topology(16, 16), 1_MiB, {}, Threads{1});
  REQUIRE(plan.layers[0].waves[0].transfers.size() == 15);
  REQUIRE(plan.layers[0].waves[0].rounds() == 4);
}

TEST_CASE("a rack is entered once per expert that it lacks") {
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    INFO("seed " << seed);
    const World world = random_world(seed);
    const std::size_t racks = 1 + seed % world.topology.nodes();
    const Topology topology(world.topology.ranks(), world.topology.nodes(), racks);
    std::set<std::pair<RackId, ExpertId>> before;
    std::set<std::pair<RackId, ExpertId>> lacking;
    for (const auto& [node, expert] : held_by_nodes(world.old, topology)) {
      before.emplace(topology.rack_of(node), expert);
    }
    for (const auto& [node, expert] : held_by_nodes(world.next, topology)) {
      const std::pair key(topology.rack_of(node), expert);
      if (before.count(key) == 0) lacking.insert(key);
    }
    const TransferTotals totals =
        totals_of(make_transfer_plan(world.old, world.next, topology, 1_MiB, {}, Threads{1}));
    REQUIRE(totals.transfers_by_link[static_cast<std::size_t>(LinkClass::kInterRack)] ==
            lacking.size());
  }
}
