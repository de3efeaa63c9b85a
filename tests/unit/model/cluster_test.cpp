// SPDX-License-Identifier: Apache-2.0
#include "moeshift/model/cluster.hpp"

#include "moeshift/core/error.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/small_machine.hpp"

using namespace moeshift;

TEST_CASE(
    "speeds of a node's ranks are those of every node, speeds of all ranks are taken as given") {
  Cluster cluster = test::small_cluster();
  cluster.ranks_per_node = 2;
  CHECK(cluster.rank_speeds(4).empty());
  cluster.rank_speed = {1, 0.9};
  CHECK(cluster.rank_speeds(4) == std::vector<double>{1, 0.9, 1, 0.9});
  cluster.rank_speed = {1, 1, 1, 0.9};
  CHECK(cluster.rank_speeds(4) == std::vector<double>{1, 1, 1, 0.9});
}

TEST_CASE("speeds of another number of ranks are refused") {
  Cluster cluster = test::small_cluster();
  cluster.ranks_per_node = 2;
  cluster.rank_speed = {1, 0.9};
  CHECK_THROWS_AS(cluster.rank_speeds(3), InputError);
  cluster.rank_speed = {1, 1, 1};
  CHECK_THROWS_AS(cluster.rank_speeds(4), InputError);
}
