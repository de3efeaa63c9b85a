// SPDX-License-Identifier: Apache-2.0
#include "moeshift/cost/move_price.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/small_machine.hpp"

using namespace moeshift;

TEST_CASE("a transfer has saved its own time after as many steps as it is priced for") {
  // 1 MB: 1 us + 1 ms in a node, 1 us + 10 ms between nodes. A step saves 1 us for each pair.
  const MovePrice price =
      move_price(test::small_parameters(), test::small_cluster(), Bytes(1'000'000), 500, 100);
  CHECK(price.imbalance == Approx((1e-6 + 1e-3) / (1e-6 * 500 * 100)));
  CHECK(price.inter_node == Approx((1e-6 + 1e-2) / (1e-6 + 1e-3)));
}

TEST_CASE("the farther transfer is never the cheaper one") {
  Cluster cluster = test::small_cluster();
  std::swap(cluster.intra_node, cluster.inter_node);
  CHECK(move_price(test::small_parameters(), cluster, Bytes(1000), 1, 1).inter_node == 1);
}

TEST_CASE("the narrowest of pair, egress and ingress is what a transfer takes") {
  Cluster cluster = test::small_cluster();
  const double before =
      move_price(test::small_parameters(), cluster, Bytes(1'000'000), 1, 1).inter_node;
  cluster.inter_node.ingress = BytesPerSecond(5e7);
  const double after =
      move_price(test::small_parameters(), cluster, Bytes(1'000'000), 1, 1).inter_node;
  CHECK(after / before == Approx((1e-6 + 2e-2) / (1e-6 + 1e-2)));
}

TEST_CASE("where there is no load nothing is worth a transfer") {
  CHECK(move_price(test::small_parameters(), test::small_cluster(), Bytes(1), 0, 100).imbalance >=
        1e9);
}
