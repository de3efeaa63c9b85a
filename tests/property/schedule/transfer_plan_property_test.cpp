// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <tuple>

#include "moeshift/core/error.hpp"
#include "moeshift/schedule/grouping.hpp"
#include "moeshift/schedule/peer_schedules.hpp"
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

/// A world and what it holds before and after.
struct Move {
  Placement old;
  Placement next;
  Topology topology;
};

Move random_move(Rng& rng) {
  const Case c = random_case(rng);
  Placement old = random_placement(c.old_shape, rng, c.empty_share);
  Placement next = random_placement(c.new_shape, rng, c.empty_share);
  const Topology topology(std::max(old.ranks(), next.ranks()), c.nodes, c.racks);
  return {std::move(old), std::move(next), topology};
}

void prove(const Placement& old, const Placement& next, const TransferPlan& plan,
           const std::set<RankId>& dead = {}) {
  SymbolicMemory memory(old, plan, dead);
  REQUIRE(memory.run() == "");
  REQUIRE(memory.compare(next) == "");
}

/// Any combination of what a schedule may be asked for.
ScheduleOptions any_options(Rng& rng) {
  ScheduleOptions options;
  options.direct = rng.below(2) == 0;
  options.inter_round_per_intra_round = rng.below(2) == 0 ? 1 : 8;
  options.batch_bytes = 1_MiB * static_cast<std::int64_t>(rng.below(5));
  if (rng.below(2) == 0) {
    options.staging_bytes = 1_MiB * static_cast<std::int64_t>(1 + rng.below(4));
  }
  if (rng.below(2) == 0) {
    options.channels = 32U << rng.below(3);
    options.chunk_bytes = 1_MiB / static_cast<std::int64_t>(1 + rng.below(2));
  }
  return options;
}

/// What a group lets a pair exchange.
void require_bounded_groups(const TransferPlan& plan, std::size_t most) {
  for (const LayerBatch& batch : plan.batches) {
    std::map<std::tuple<std::size_t, std::uint32_t, RankId, RankId>, std::size_t> experts;
    for (std::size_t i = batch.first; i < batch.first + batch.count; ++i) {
      for (std::size_t wave = 0; wave < plan.layers[i].waves.size(); ++wave) {
        for (const Transfer& t : plan.layers[i].waves[wave].transfers) {
          REQUIRE(++experts[{wave, t.group, t.source, t.destination}] <= most);
        }
      }
    }
  }
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
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    INFO("seed " << seed);
    Rng rng(seed);
    const auto [old, next, topology] = random_move(rng);
    prove(old, next, make_transfer_plan(old, next, topology, 1_MiB, {}, Threads{1}));
  }
}

TEST_CASE("any staging budget that holds an expert is kept and still ends in the new placement") {
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    INFO("seed " << seed);
    Rng rng(seed);
    const auto [old, next, topology] = random_move(rng);
    ScheduleOptions options;
    options.staging_bytes = 1_MiB * static_cast<std::int64_t>(1 + rng.below(3));
    const TransferPlan plan = make_transfer_plan(old, next, topology, 1_MiB, options, Threads{1});
    for (const RankId rank : plan.staging_slots.ids()) {
      REQUIRE(staging_bytes(plan)[rank] <= *options.staging_bytes);
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
    } catch (const InfeasibleError&) {
      REQUIRE(loses_an_expert(old, next, options.dead_ranks[0]));
    }
  }
}

TEST_CASE(
    "direct receives, batches, bounded groups and budgets in any mixture end where they should") {
  for (std::uint64_t seed = 0; seed < 4000; ++seed) {
    INFO("seed " << seed);
    Rng rng = Rng::stream(2, seed);
    const auto [old, next, topology] = random_move(rng);
    const ScheduleOptions options = any_options(rng);
    try {
      const TransferPlan plan = make_transfer_plan(old, next, topology, 1_MiB, options, Threads{1});
      for (const RankId rank : plan.staging_slots.ids()) {
        if (options.staging_bytes) REQUIRE(staging_bytes(plan)[rank] <= *options.staging_bytes);
      }
      if (options.channels) {
        const std::size_t messages = messages_per_pair(*options.channels);
        require_bounded_groups(
            plan, messages * static_cast<std::size_t>(options.chunk_bytes.count()) >> 20U);
      }
      prove(old, next, plan);
    } catch (const InfeasibleError&) {
      REQUIRE(options.channels);  // one message per pair and group cannot carry an expert in halves
      REQUIRE(messages_per_pair(*options.channels) == 1);
    }
  }
}

TEST_CASE("a direct plan never needs more staging memory than one through buffers") {
  std::size_t saved = 0;
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    INFO("seed " << seed);
    Rng rng = Rng::stream(3, seed);
    const auto [old, next, topology] = random_move(rng);
    const auto staged = make_transfer_plan(old, next, topology, 1_MiB, {}, Threads{1});
    ScheduleOptions in_place;
    in_place.direct = true;
    const auto direct = make_transfer_plan(old, next, topology, 1_MiB, in_place, Threads{1});
    for (const RankId rank : staged.staging_slots.ids()) {
      REQUIRE(direct.staging_slots[rank] <= staged.staging_slots[rank]);
      saved += staged.staging_slots[rank] - direct.staging_slots[rank];
    }
  }
  REQUIRE(saved > 0);
}

TEST_CASE("direct receives make a tight budget do with fewer waves, or with no buffer at all") {
  const auto waves_of = [](const TransferPlan& plan) {
    std::size_t waves = 0;
    for (const LayerMoves& layer : plan.layers) waves += layer.waves.size();
    return waves;
  };
  std::size_t staged_waves = 0;
  std::size_t direct_waves = 0;
  std::size_t without_buffers = 0;
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    INFO("seed " << seed);
    Rng rng = Rng::stream(5, seed);
    const auto [old, next, topology] = random_move(rng);
    ScheduleOptions options;
    options.staging_bytes = 1_MiB * static_cast<std::int64_t>(1 + rng.below(2));
    const auto staged = make_transfer_plan(old, next, topology, 1_MiB, options, Threads{1});
    options.direct = true;
    const auto direct = make_transfer_plan(old, next, topology, 1_MiB, options, Threads{1});
    prove(old, next, direct);
    for (const Bytes bytes : staging_bytes(direct)) REQUIRE(bytes <= *options.staging_bytes);
    staged_waves += waves_of(staged);
    direct_waves += waves_of(direct);
    options.staging_bytes = Bytes(0);
    try {
      const auto bare = make_transfer_plan(old, next, topology, 1_MiB, options, Threads{1});
      prove(old, next, bare);
      for (const RankId rank : bare.staging_slots.ids()) REQUIRE(bare.staging_slots[rank] == 0);
      if (waves_of(bare) > 0) ++without_buffers;
    } catch (const InfeasibleError& error) {
      REQUIRE(std::string(error.what()).find("1048576 bytes would do") != std::string::npos);
    }
  }
  REQUIRE(direct_waves < staged_waves);
  REQUIRE(without_buffers > 0);
}

/// The bytes of the experts that `next` has on ranks whose `old` slots lack them.
Bytes bytes_that_arrive(const Placement& old, const Placement& next, const ExpertSizes& sizes) {
  Bytes sum;
  for (const LayerId layer : all_ids<LayerId>(next.layers())) {
    for (const RankId rank : all_ids<RankId>(next.ranks())) {
      std::set<ExpertId> held;
      if (rank.index() < old.ranks()) {
        const auto slots = old.rank_slots(layer, rank);
        held.insert(slots.begin(), slots.end());
      }
      for (const ExpertId expert : next.rank_slots(layer, rank)) {
        if (!expert.is_none() && held.insert(expert).second) sum += sizes(layer, expert);
      }
    }
  }
  return sum;
}

TEST_CASE("experts of any sizes arrive within any budget, and every byte is counted") {
  std::size_t mixed = 0;
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    INFO("seed " << seed);
    Rng rng = Rng::stream(6, seed);
    const auto [old, next, topology] = random_move(rng);
    const ExpertSizes sizes =
        random_sizes({.layers = next.layers(), .experts = next.experts()}, 1_KiB, rng);
    ScheduleOptions options;
    options.direct = rng.below(2) == 0;
    options.batch_bytes = 8_KiB * static_cast<std::int64_t>(rng.below(5));
    options.join.below = 8_KiB * static_cast<std::int64_t>(rng.below(5));
    if (rng.below(2) == 0) {
      options.staging_bytes = sizes.largest() + 1_KiB * static_cast<std::int64_t>(rng.below(16));
    }
    const TransferPlan plan = make_transfer_plan(old, next, topology, sizes, options, Threads{1});
    prove(old, next, plan);
    const auto staged = staging_bytes(plan);
    if (options.staging_bytes) {
      for (const Bytes bytes : staged) REQUIRE(bytes <= *options.staging_bytes);
    }
    const TransferTotals totals = totals_of(plan);
    Bytes sent;
    for (const LinkClass link :
         {LinkClass::kIntraNode, LinkClass::kInterNode, LinkClass::kInterRack}) {
      sent += totals.bytes_by_link[static_cast<std::size_t>(link)];
    }
    if (!options.staging_bytes) REQUIRE(sent == bytes_that_arrive(old, next, sizes));
    mixed += sizes.uniform() ? 0U : 1U;
  }
  REQUIRE(mixed > 1000);
}

TEST_CASE("peers' schedules deliver the same weights") {
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    INFO("seed " << seed);
    Rng rng = Rng::stream(4, seed);
    const auto [old, next, topology] = random_move(rng);
    for (const PeerSchedule peer : {PeerSchedule::kVllm, PeerSchedule::kVllmBatched,
                                    PeerSchedule::kSglang, PeerSchedule::kAscend}) {
      const auto plan = make_peer_plan(peer, old, next, topology, 1_MiB, 3, Threads{1});
      SymbolicMemory memory(old, plan);
      memory.let_ports_be_shared();
      REQUIRE(memory.run() == "");
      REQUIRE(memory.compare(next) == "");
    }
  }
}
