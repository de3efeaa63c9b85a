// SPDX-License-Identifier: Apache-2.0
// A machine and a placement small enough to work out by hand.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "moeshift/cost/serving_parameters.hpp"
#include "moeshift/model/cluster.hpp"
#include "moeshift/model/placement.hpp"

namespace moeshift::test {

/// 2 ranks per node; round figures; every kind of cost is there and differs from the others.
inline Cluster small_cluster() {
  const auto link = [](double latency, double rate) {
    LinkParameters parameters;
    parameters.latency = Seconds(latency);
    parameters.per_message = Seconds(1e-6);
    parameters.pair = BytesPerSecond(rate);
    parameters.egress = BytesPerSecond(rate);
    parameters.ingress = BytesPerSecond(rate);
    return parameters;
  };
  Cluster cluster;
  cluster.name = "small";
  cluster.ranks_per_node = 2;
  cluster.rank_memory = Bytes(1'000'000'000);
  cluster.local_copy = BytesPerSecond(1e10);
  cluster.local_copy_latency = Seconds(1e-6);
  cluster.intra_node = link(1e-5, 1e9);
  cluster.inter_node = link(2e-5, 1e8);
  cluster.fixed = {.launch = Seconds(5e-6),
                   .connection = Seconds(1e-3),
                   .vote = Seconds(3e-5),
                   .commit = Seconds(1e-5)};
  return cluster;
}

inline ServingParameters small_parameters() {
  ServingParameters parameters;
  parameters.step_fixed = Seconds(1e-3);
  parameters.layer_fixed = Seconds(1e-4);
  parameters.dense_per_token = Seconds(1e-7);
  parameters.dense_floor = Seconds(1e-5);
  parameters.expert_per_token = Seconds(1e-6);
  parameters.expert_floor = Seconds(5e-5);
  parameters.dispatch_bytes = 100;
  parameters.combine_bytes = 200;
  return parameters;
}

/// The same slots in every layer.
inline Placement placement_of(std::size_t layers, std::size_t experts, std::size_t ranks,
                              const std::vector<std::uint32_t>& slots) {
  IdMatrix<LayerId, SlotId, ExpertId> map(layers, slots.size());
  for (const LayerId layer : map.row_ids()) {
    for (std::size_t s = 0; s < slots.size(); ++s) map(layer, SlotId(s)) = ExpertId(slots[s]);
  }
  return {experts, ranks, std::move(map)};
}

}  // namespace moeshift::test
