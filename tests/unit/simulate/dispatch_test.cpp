// SPDX-License-Identifier: Apache-2.0
#include "moeshift/simulate/dispatch.hpp"

#include "moeshift/core/error.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/simulate/small_world.hpp"

using namespace moeshift;
using namespace moeshift::test;

namespace {

double share(const SlotShare& slot, LinkClass link) {
  return slot.by_link[static_cast<std::size_t>(link)];
}

}  // namespace

TEST_CASE("even dispatch gives every replica the same tokens from everywhere") {
  // 4 ranks on 2 nodes, expert 0 on ranks 0 and 2.
  const Placement placement = placement_of(1, 3, 4, {0, 1, 0, 2});
  const LayerDispatch shares = dispatch_shares(placement, LayerId(0), Topology(4, 2), {});
  REQUIRE(shares[0].total() == Approx(0.5));
  REQUIRE(share(shares[0], LinkClass::kLocal) == Approx(0.125));
  REQUIRE(share(shares[0], LinkClass::kIntraNode) == Approx(0.125));
  REQUIRE(share(shares[0], LinkClass::kInterNode) == Approx(0.25));
  REQUIRE(shares[1].total() == Approx(1));
}

TEST_CASE("nearest dispatch stays on the rank or in the node where it can") {
  const Placement placement = placement_of(1, 3, 4, {0, 1, 0, 2});
  const LayerDispatch shares =
      dispatch_shares(placement, LayerId(0), Topology(4, 2), {.rule = DispatchRule::kNearest});
  REQUIRE(share(shares[0], LinkClass::kLocal) == Approx(0.25));
  REQUIRE(share(shares[0], LinkClass::kIntraNode) == Approx(0.25));
  REQUIRE(share(shares[0], LinkClass::kInterNode) == 0);
  // Expert 1 lives on rank 1 only: the other node has no choice.
  REQUIRE(share(shares[1], LinkClass::kInterNode) == Approx(0.5));
}

TEST_CASE("nearest dispatch is uneven where replicas crowd one node") {
  // Expert 0 on ranks 0, 1 (node 0) and 2 (node 1, with rank 3).
  const Placement placement = placement_of(1, 2, 4, {0, 0, 0, 1});
  const LayerDispatch shares =
      dispatch_shares(placement, LayerId(0), Topology(4, 2), {.rule = DispatchRule::kNearest});
  REQUIRE(shares[0].total() == Approx(0.25));
  REQUIRE(shares[1].total() == Approx(0.25));
  REQUIRE(shares[2].total() == Approx(0.5));
}

TEST_CASE("replica bias moves tokens from the others to the first replica") {
  const Placement placement = placement_of(1, 3, 4, {0, 1, 0, 2});
  const Topology topology(4, 2);
  const LayerDispatch half = dispatch_shares(placement, LayerId(0), topology,
                                             {.rule = DispatchRule::kEven, .replica_bias = 0.5});
  REQUIRE(half[0].total() == Approx(0.75));
  REQUIRE(half[2].total() == Approx(0.25));
  const LayerDispatch all = dispatch_shares(placement, LayerId(0), topology,
                                            {.rule = DispatchRule::kEven, .replica_bias = 1});
  REQUIRE(all[0].total() == Approx(1));
  REQUIRE(all[2].total() == Approx(0).margin(1e-15));
}

TEST_CASE("an expert that nobody holds cannot be served") {
  const Placement placement = placement_of(1, 3, 2, {0, 1});
  REQUIRE_THROWS_AS(dispatch_shares(placement, LayerId(0), Topology(2, 1), {}), InputError);
}

TEST_CASE("dispatch rules are known by name") {
  REQUIRE(parse_dispatch_rule("even") == DispatchRule::kEven);
  REQUIRE(parse_dispatch_rule("random") == DispatchRule::kEven);
  REQUIRE(parse_dispatch_rule("nearest") == DispatchRule::kNearest);
  REQUIRE_THROWS_AS(parse_dispatch_rule("closest"), InputError);
}
