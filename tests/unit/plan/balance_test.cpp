// SPDX-License-Identifier: Apache-2.0
#include "moeshift/cost/balance.hpp"

#include "moeshift/core/error.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/plan/problems.hpp"

namespace moeshift {
namespace {

TEST_CASE("even dispatch shares the load of an expert over its replicas") {
  const RankLoads loads =
      rank_loads(test::load_of({{8, 2, 4}}), test::placement_of({{0, 1, 0, 2}}, 3, 2));
  CHECK(loads(LayerId(0), RankId(0)) == 6);
  CHECK(loads(LayerId(0), RankId(1)) == 8);
}

TEST_CASE("balance metrics follow their formulas") {
  RankLoads loads(2, 2);
  loads(LayerId(0), RankId(0)) = 6;
  loads(LayerId(0), RankId(1)) = 2;
  loads(LayerId(1), RankId(0)) = 1;
  loads(LayerId(1), RankId(1)) = 1;
  const Balance balance = balance_of(loads, loads.columns(), std::vector<double>{4, 1});
  CHECK(balance.balancedness == Approx((4.0 / 6 + 1) / 2));
  CHECK(balance.balancedness_vllm == Approx(5.0 / 7));
  CHECK(balance.imbalance == Approx((6.0 / 4 + 1) / 2));
  CHECK(balance.imbalance_trtllm == Approx(0.25));
  CHECK(balance.peak_load == 7);
  CHECK(balance.gap_mean == Approx(0.25));
  CHECK(balance.gap_max == Approx(0.5));
}

TEST_CASE("a layer without load is perfectly balanced") {
  const Balance balance = balance_of(RankLoads(1, 4, 0.0), 4, std::vector<double>{0});
  CHECK(balance.balancedness == 1);
  CHECK(balance.balancedness_vllm == 1);
  CHECK(balance.imbalance == 1);
  CHECK(balance.gap_max == 0);
}

TEST_CASE("ranks that do not serve are no idle ranks") {
  // Rank 1 is dead: the three others are even.
  RankLoads loads(1, 4, 300.0);
  loads(LayerId(0), RankId(1)) = 0;
  const Balance balance = balance_of(loads, 3, std::vector<double>{300});
  CHECK(balance.balancedness == 1);
  CHECK(balance.balancedness_vllm == 1);
  CHECK(balance.imbalance == 1);
  CHECK(balance.imbalance_trtllm == 0);
  CHECK(balance.gap_max == 0);
}

TEST_CASE("an expert with load but without a holder is an input error") {
  CHECK_THROWS_AS(rank_loads(test::load_of({{1, 1}}), test::placement_of({{0, 0}}, 2, 2)),
                  InputError);
}

}  // namespace
}  // namespace moeshift
