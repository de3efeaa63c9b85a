// SPDX-License-Identifier: Apache-2.0
#include "moeshift/schedule/scheduler.hpp"

#include <utility>

#include "moeshift/core/error.hpp"
#include "moeshift/schedule/peer_schedules.hpp"
#include "moeshift/schedule/routes.hpp"
#include "moeshift/schedule/spread.hpp"

#include "tests/support/catch.hpp"

using namespace moeshift;
using namespace moeshift::literals;

namespace {

constexpr int kEmpty = -1;

Placement placement(std::size_t experts, std::size_t ranks, const std::vector<int>& slots) {
  IdMatrix<LayerId, SlotId, ExpertId> table(1, slots.size());
  for (std::size_t i = 0; i < slots.size(); ++i) {
    table(LayerId(0), SlotId(i)) = slots[i] == kEmpty ? ExpertId::none() : ExpertId(slots[i]);
  }
  return Placement(experts, ranks, std::move(table));
}

TransferPlan schedule(const Placement& old, const Placement& next, std::size_t nodes,
                      const ScheduleOptions& options = {}) {
  const Topology topology(std::max(old.ranks(), next.ranks()), nodes);
  return make_transfer_plan(old, next, topology, 1_MiB, options);
}

}  // namespace

TEST_CASE("a placement onto itself moves nothing") {
  const Placement p = placement(4, 2, {0, 1, 2, 3});
  const TransferPlan plan = schedule(p, p, 1);
  REQUIRE(plan.layers.size() == 1);
  REQUIRE(plan.layers[0].waves.empty());
  REQUIRE(staging_bytes(plan)[RankId(0)] == 0_B);
}

TEST_CASE("an expert that its rank holds already is a local copy") {
  const TransferPlan plan = schedule(placement(2, 1, {0, 1}), placement(2, 1, {1, 0}), 1);
  const TransferTotals totals = totals_of(plan);
  REQUIRE(totals.local_copies == 2);
  REQUIRE(totals.transfers == 0);
}

TEST_CASE("an expert needed twice on a rank is received once") {
  const TransferPlan plan =
      schedule(placement(3, 2, {0, 1, 2, 2}), placement(3, 2, {0, 1, 0, 0}), 1);
  const TransferTotals totals = totals_of(plan);
  REQUIRE(totals.transfers == 1);
  REQUIRE(plan.layers[0].waves[0].commit_copies.size() == 2);
}

TEST_CASE("an expert crosses a node boundary once and is handed on inside") {
  const TransferPlan plan =
      schedule(placement(3, 4, {0, 1, 2, 2}), placement(3, 4, {1, 2, 0, 0}), 2);
  const auto& transfers = plan.layers[0].waves[0].transfers;
  std::size_t crossings = 0;
  const Transfer* first = nullptr;
  const Transfer* second = nullptr;
  for (const Transfer& t : transfers) {
    if (t.expert != ExpertId(0)) continue;
    if (t.link == LinkClass::kInterNode) {
      ++crossings;
      first = &t;
    } else {
      second = &t;
    }
  }
  REQUIRE(crossings == 1);
  REQUIRE(first != nullptr);
  REQUIRE(second != nullptr);
  REQUIRE(second->source == first->destination);
  REQUIRE(second->from == first->to);
  REQUIRE(second->group > first->group);
}

TEST_CASE("a rank of the own node is the source rather than a remote one") {
  const TransferPlan plan =
      schedule(placement(2, 4, {0, 1, 0, 1}), placement(2, 4, {0, 0, 0, 1}), 2);
  const auto& transfers = plan.layers[0].waves[0].transfers;
  REQUIRE(transfers.size() == 1);
  REQUIRE(transfers[0].source == RankId(0));
  REQUIRE(transfers[0].link == LinkClass::kIntraNode);
}

TEST_CASE("of equal holders in another node the one in the same place of its node sends") {
  // Ranks 0 and 1 of node 0 hold expert 0; rank 3 is the second of node 1, rank 2 the first.
  const Placement old = placement(3, 4, {0, 0, 1, 2});
  for (const auto& [next, rail] : {std::pair(placement(3, 4, {0, 0, 1, 0}), RankId(1)),
                                   std::pair(placement(3, 4, {0, 0, 0, 2}), RankId(0))}) {
    const TransferPlan plan = schedule(old, next, 2);
    const auto& transfers = plan.layers[0].waves[0].transfers;
    REQUIRE(transfers.size() == 1);
    CHECK(transfers[0].source == rail);
  }
}

TEST_CASE("an expert comes from the same rack where somebody holds it there, whatever the rail") {
  // Four nodes of two ranks, two racks. Rank 0 wants expert 0: rank 3 is in its rack, rank 4 on its
  // rail. With trees and without.
  LayerSlots old(8, 1, ExpertId(1));
  old(RankId(3), SlotId(0)) = old(RankId(4), SlotId(0)) = ExpertId(0);
  LayerSlots next = old;
  next(RankId(0), SlotId(0)) = ExpertId(0);
  const LayerNeeds needs = find_needs(old, next, 2);
  for (const bool trees : {true, false}) {
    RouteOptions options;
    options.trees = trees;
    const std::vector<Hop> hops = choose_routes(needs, Topology(8, 4, 2), options);
    REQUIRE(hops.size() == 1);
    CHECK(hops[0].source == RankId(3));
  }
}

TEST_CASE("of several who hold an expert in a tree the one that has sent least sends") {
  // Expert 0 can only come from rank 0, in the first round; expert 1 then comes from rank 1.
  LayerSlots old(3, 2, ExpertId::none());
  old(RankId(0), SlotId(0)) = ExpertId(0);
  old(RankId(0), SlotId(1)) = old(RankId(1), SlotId(0)) = ExpertId(1);
  LayerSlots next = old;
  next(RankId(2), SlotId(0)) = ExpertId(0);
  next(RankId(2), SlotId(1)) = ExpertId(1);
  const CrossingTree tree = spread({{ExpertId(0), RankId(2)}, {ExpertId(1), RankId(2)}},
                                   find_needs(old, next, 2), Topology(3, 3));
  REQUIRE(tree.rounds == 2);
  CHECK(tree.steps[0].source.rank == RankId(0));
  CHECK(tree.steps[1].source.rank == RankId(1));
}

TEST_CASE(
    "as vllm-ascend does it, the lowest rank that gives an expert up sends it, else the lowest") {
  LayerSlots old(4, 1, ExpertId(0));
  old(RankId(3), SlotId(0)) = ExpertId(1);
  LayerSlots next = old;
  next(RankId(3), SlotId(0)) = ExpertId(0);
  const auto sender = [&] {
    const LayerNeeds needs = find_needs(old, next, 2);
    return peer_exchange(PeerSchedule::kAscend, needs, Topology(4, 1)).transfers.at(0).source;
  };
  CHECK(sender() == RankId(0));
  next(RankId(1), SlotId(0)) = next(RankId(2), SlotId(0)) = ExpertId::none();
  CHECK(sender() == RankId(1));
}

TEST_CASE("experts without a live holder are listed in the error") {
  const Placement old = placement(4, 2, {0, 1, 2, 3});
  const Placement next = placement(4, 2, {2, 3, 0, 1});
  ScheduleOptions options;
  options.dead_ranks = {RankId(1)};
  try {
    (void)schedule(old, next, 1, options);
    FAIL("expected an error");
  } catch (const InfeasibleError& error) {
    REQUIRE(std::string(error.what()) ==
            "no live rank of the old placement holds layer 0: experts 2, 3");
  }
}

TEST_CASE("empty slots are neither filled nor sources") {
  const TransferPlan plan =
      schedule(placement(2, 2, {0, kEmpty, 1, kEmpty}), placement(2, 2, {0, kEmpty, 1, 0}), 1);
  REQUIRE(totals_of(plan).transfers == 1);
}

TEST_CASE("equal inputs give equal plans on any number of threads") {
  const Placement old = placement(4, 4, {0, 1, 2, 3, 0, 1, 2, 3});
  const Placement next = placement(4, 4, {3, 2, 1, 0, 2, 3, 0, 1});
  const Topology topology(4, 2);
  const auto one = make_transfer_plan(old, next, topology, 1_MiB, {}, Threads{1});
  const auto two = make_transfer_plan(old, next, topology, 1_MiB, {}, Threads{2});
  REQUIRE(one.hash == two.hash);
  REQUIRE(one.hash.size() == 64);
}
