// SPDX-License-Identifier: Apache-2.0
#include "moeshift/cost/dispatch.hpp"

#include <algorithm>
#include <numeric>

#include "moeshift/core/error.hpp"
#include "moeshift/core/rng.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/random_placement.hpp"
#include "tests/unit/plan/problems.hpp"

namespace moeshift {
namespace {

double share(const SlotShare& slot, LinkClass link) {
  return slot.by_link[static_cast<std::size_t>(link)];
}

double peak_of(const RankLoads& loads) {
  const auto row = loads.row(LayerId(0));
  return *std::max_element(row.begin(), row.end());
}

RankLoads loads_under(DispatchRule rule, const LoadMatrix& load, const Placement& placement,
                      const Topology& topology) {
  return rank_loads(load, placement, topology, {.rule = rule, .seed = 7});
}

/// 4 ranks on 2 nodes, expert 0 on ranks 0 and 2.
Placement two_nodes() {
  return test::placement_of({{0, 1, 0, 2}}, 3, 4);
}

TEST_CASE("even dispatch gives every replica the same tokens from everywhere") {
  const LayerDispatch shares = dispatch_shares(two_nodes(), LayerId(0), Topology(4, 2), {});
  CHECK(shares[0].total() == Approx(0.5));
  CHECK(share(shares[0], LinkClass::kLocal) == Approx(0.125));
  CHECK(share(shares[0], LinkClass::kIntraNode) == Approx(0.125));
  CHECK(share(shares[0], LinkClass::kInterNode) == Approx(0.25));
  CHECK(shares[1].total() == Approx(1));
}

TEST_CASE("nearest dispatch stays on the rank or in the node where it can") {
  const LayerDispatch shares =
      dispatch_shares(two_nodes(), LayerId(0), Topology(4, 2), {.rule = DispatchRule::kNearest});
  CHECK(share(shares[0], LinkClass::kLocal) == Approx(0.25));
  CHECK(share(shares[0], LinkClass::kIntraNode) == Approx(0.25));
  CHECK(share(shares[0], LinkClass::kInterNode) == 0);
  // Expert 1 lives on rank 1 only: the other node has no choice.
  CHECK(share(shares[1], LinkClass::kInterNode) == Approx(0.5));
}

TEST_CASE("nearest dispatch is uneven where replicas crowd one node") {
  // Expert 0 on ranks 0, 1 (node 0) and 2 (node 1, with rank 3).
  const Placement placement = test::placement_of({{0, 0, 0, 1}}, 2, 4);
  const RankLoads loads =
      loads_under(DispatchRule::kNearest, test::load_of({{8, 1}}), placement, Topology(4, 2));
  CHECK(loads(LayerId(0), RankId(0)) == Approx(2));
  CHECK(loads(LayerId(0), RankId(1)) == Approx(2));
  CHECK(loads(LayerId(0), RankId(2)) == Approx(4));
}

TEST_CASE("replica bias moves tokens from the others to the first replica") {
  const Topology topology(4, 2);
  const LayerDispatch half =
      dispatch_shares(two_nodes(), LayerId(0), topology, {.replica_bias = 0.5});
  CHECK(half[0].total() == Approx(0.75));
  CHECK(half[2].total() == Approx(0.25));
  const LayerDispatch all = dispatch_shares(two_nodes(), LayerId(0), topology, {.replica_bias = 1});
  CHECK(all[0].total() == Approx(1));
  CHECK(all[2].total() == Approx(0).margin(1e-15));
}

TEST_CASE("the best split takes load off a rank whose other expert has no second holder") {
  const Placement placement = test::placement_of({{0, 1, 0, 2}}, 3, 2);
  const LoadMatrix load = test::load_of({{10, 8, 2}});
  CHECK(peak_of(loads_under(DispatchRule::kEven, load, placement, Topology(2, 1))) == 13);
  CHECK(peak_of(loads_under(DispatchRule::kLp, load, placement, Topology(2, 1))) == Approx(10));
}

TEST_CASE("the best split equals the bound over all sets of ranks") {
  // Hall's condition: the optimum is the heaviest load confined to a set of ranks, per rank.
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    Rng rng(seed);
    const LoadMatrix load = test::lognormal_load(1, 10, 1.2, seed);
    const Placement placement =
        test::random_placement({.experts = 10, .ranks = 6, .slots_per_rank = 3}, rng);
    std::vector<unsigned> mask(10, 0);
    for (const SlotId slot : all_ids<SlotId>(18)) {
      mask[placement(LayerId(0), slot).index()] |= 1U << placement.rank_of(slot).value();
    }
    double bound = 0;
    for (unsigned set = 1; set < 64; ++set) {
      double confined = 0;
      for (const ExpertId e : load.column_ids()) {
        if ((mask[e.index()] & ~set) == 0) confined += load(LayerId(0), e);
      }
      bound = std::max(bound, confined / static_cast<double>(__builtin_popcount(set)));
    }
    INFO("seed " << seed);
    const Topology topology(6, 1);
    const double best = peak_of(loads_under(DispatchRule::kLp, load, placement, topology));
    CHECK(best == Approx(bound));
    CHECK(best <= peak_of(loads_under(DispatchRule::kEven, load, placement, topology)) + 1e-6);
  }
}

TEST_CASE("every dispatch rule serves every token once") {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    Rng rng(seed);
    const LoadMatrix load = test::lognormal_load(1, 9, 1.5, seed);
    const Placement placement = test::random_placement(
        {.experts = 9, .ranks = 6, .slots_per_rank = 3}, rng, seed % 2 == 0 ? 0.3 : 0);
    for (const char* name : {"even", "nearest", "random", "lp"}) {
      INFO(name << ", seed " << seed);
      const LayerDispatch shares =
          dispatch_shares(placement, LayerId(0), Topology(6, 2),
                          {.rule = parse_dispatch_rule(name), .seed = seed}, load.row(LayerId(0)));
      std::vector<double> served(9, 0);
      for (const SlotId slot : all_ids<SlotId>(18)) {
        served[shares[slot.index()].expert] += shares[slot.index()].total();
        CHECK((!placement(LayerId(0), slot).is_none() || shares[slot.index()].total() == 0));
      }
      for (const double share : served) CHECK(share == Approx(1));
    }
  }
}

TEST_CASE("random dispatch without a load is its expectation") {
  const LayerDispatch shares =
      dispatch_shares(two_nodes(), LayerId(0), Topology(4, 2), {.rule = DispatchRule::kRandom});
  CHECK(shares[0].total() == Approx(0.5));
}

TEST_CASE("what cannot be served or is not known is an input error") {
  const Placement lost = test::placement_of({{0, 1}}, 3, 2);
  CHECK_THROWS_AS(dispatch_shares(lost, LayerId(0), Topology(2, 1), {}), InputError);
  CHECK_THROWS_AS(dispatch_shares(two_nodes(), LayerId(0), Topology(2, 1), {}), InputError);
  CHECK_THROWS_AS(
      dispatch_shares(two_nodes(), LayerId(0), Topology(4, 2), {.rule = DispatchRule::kLp}),
      InputError);
  CHECK_THROWS_AS(parse_dispatch_rule("evn"), InputError);
}

}  // namespace
}  // namespace moeshift
