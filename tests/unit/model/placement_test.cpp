// SPDX-License-Identifier: Apache-2.0
#include "moeshift/model/placement.hpp"

#include <string>
#include <vector>

#include "moeshift/core/error.hpp"
#include "moeshift/model/topology.hpp"

#include "tests/support/catch.hpp"

namespace {

using moeshift::ExpertId;
using moeshift::LayerId;
using moeshift::LinkClass;
using moeshift::NodeId;
using moeshift::Placement;
using moeshift::RankId;
using moeshift::SlotId;
using moeshift::Topology;

/// One layer that holds `experts`; -1 = nothing.
Placement one_layer(std::size_t num_experts, std::size_t ranks, const std::vector<int>& experts) {
  moeshift::IdMatrix<LayerId, SlotId, ExpertId> slots(1, experts.size());
  for (std::size_t i = 0; i < experts.size(); ++i) {
    slots(LayerId(0), SlotId(i)) = experts[i] < 0 ? ExpertId::none() : ExpertId(experts[i]);
  }
  return {num_experts, ranks, slots};
}

}  // namespace

TEST_CASE("Slot s lives on rank s over slots per rank") {
  const Placement placement = one_layer(4, 3, {0, 1, 2, 3, 0, 1});
  CHECK(placement.slots_per_rank() == 2);
  CHECK(placement.rank_of(SlotId(3)) == RankId(1));
  CHECK(placement.first_slot(RankId(2)) == SlotId(4));
}

TEST_CASE("Replicas and holders and missing experts are derived from the slots") {
  const Placement placement = one_layer(4, 2, {0, 0, 2, -1, 2, 1});
  CHECK(placement.replica_counts(LayerId(0)) == std::vector<std::uint32_t>{2, 1, 2, 0});
  CHECK(placement.logical_to_physical(LayerId(0))[2] == std::vector<SlotId>{SlotId(2), SlotId(4)});
  CHECK(placement.uncovered(LayerId(0)) == std::vector<ExpertId>{ExpertId(3)});
}

TEST_CASE("Only a second replica on the same rank is a duplicate and an empty slot never is") {
  CHECK(one_layer(2, 2, {0, 0, 0, 1}).duplicates(LayerId(0)) == 1);
  CHECK(one_layer(2, 2, {0, 1, 1, 0}).duplicates(LayerId(0)) == 0);
  CHECK(one_layer(2, 1, {-1, -1, 0, 1}).duplicates(LayerId(0)) == 0);
}

TEST_CASE("A placement whose slots do not divide by its ranks is refused") {
  CHECK_THROWS_AS(one_layer(4, 4, {0, 1, 2, 3, 0, 1}), moeshift::InputError);
  CHECK_THROWS_AS(one_layer(4, 0, {0, 1, 2, 3}), moeshift::InputError);
}

TEST_CASE("A placement that names an expert the model lacks says which slot holds it") {
  try {
    (void)one_layer(3, 2, {0, 1, 2, 7});
    FAIL("no error");
  } catch (const moeshift::InputError& error) {
    CHECK(std::string(error.what()).find("layer 0 slot 3 holds expert 7") != std::string::npos);
  }
}

TEST_CASE("Ranks that do not divide by nodes give the first nodes one more") {
  const Topology topology(7, 3);
  CHECK_FALSE(topology.even());
  CHECK(topology.ranks_of(NodeId(0)).size() == 3);
  CHECK(topology.ranks_of(NodeId(2)) == std::vector<RankId>{RankId(5), RankId(6)});
}

TEST_CASE("The link between two ranks is the nearest level that they share") {
  const Topology topology(8, 4, 2);
  CHECK(topology.link(RankId(1), RankId(1)) == LinkClass::kLocal);
  CHECK(topology.link(RankId(0), RankId(1)) == LinkClass::kIntraNode);
  CHECK(topology.link(RankId(0), RankId(2)) == LinkClass::kInterNode);
  CHECK(topology.link(RankId(0), RankId(4)) == LinkClass::kInterRack);
}

TEST_CASE("More nodes than ranks and a world of no node are refused") {
  CHECK_THROWS_AS(Topology(2, 3), moeshift::InputError);
  CHECK_THROWS_AS(Topology(2, 0), moeshift::InputError);
  CHECK_THROWS_AS(Topology(4, 2, 3), moeshift::InputError);
}
