// SPDX-License-Identifier: Apache-2.0
// A rearrangement small enough to price by hand: what reports of it must say.
#pragma once

#include <cstdint>
#include <vector>

#include "moeshift/model/cluster.hpp"
#include "moeshift/model/placement.hpp"
#include "moeshift/model/topology.hpp"
#include "moeshift/schedule/scheduler.hpp"

namespace moeshift::test {

/// One layer of four experts on two ranks.
inline Placement four_experts(const std::vector<std::uint32_t>& experts) {
  IdMatrix<LayerId, SlotId, ExpertId> slots(1, experts.size());
  for (std::size_t i = 0; i < experts.size(); ++i) {
    slots(LayerId(0), SlotId(i)) = ExpertId(experts[i]);
  }
  return {4, 2, std::move(slots)};
}

inline const Placement& before() {
  static const Placement placement = four_experts({0, 1, 2, 3});
  return placement;
}

/// Ranks have exchanged experts 1 and 3.
inline const Placement& after() {
  static const Placement placement = four_experts({0, 3, 2, 1});
  return placement;
}

inline constexpr Bytes kExpert{1'000'000};

/// 1 GB/s between ranks, 10 GB/s inside one, a vote of 10 us and nothing else that takes time.
inline Cluster small_cluster() {
  Cluster cluster;
  cluster.name = "small";
  cluster.ranks_per_node = 2;
  for (LinkParameters* link : {&cluster.intra_node, &cluster.inter_node}) {
    link->pair = link->egress = link->ingress = BytesPerSecond(1e9);
  }
  cluster.local_copy = BytesPerSecond(1e10);
  cluster.fixed.vote = Seconds(1e-5);
  return cluster;
}

inline TransferPlan small_plan() {
  return make_transfer_plan(before(), after(), Topology(2, 1), kExpert);
}

}  // namespace moeshift::test
