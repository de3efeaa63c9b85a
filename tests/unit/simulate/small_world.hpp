// SPDX-License-Identifier: Apache-2.0
// A deployment small enough to work out by hand.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <memory>
#include <utility>
#include <vector>

#include "moeshift/simulate/lane.hpp"

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

inline Deployment small_deployment(std::size_t ranks, std::size_t nodes,
                                   const ServingParameters& parameters = small_parameters(),
                                   Bytes expert_bytes = Bytes(1'000'000)) {
  const Cluster cluster = small_cluster();
  return {.model = ServingModel(parameters, cluster, Topology(ranks, nodes), 2),
          .cluster = cluster,
          .expert_sizes = expert_bytes,
          .expert_groups = 1};
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

inline LoadMatrix load_of(std::size_t layers, const std::vector<double>& row) {
  LoadMatrix load(layers, row.size());
  for (const LayerId layer : load.row_ids()) {
    std::copy(row.begin(), row.end(), load.row(layer).begin());
  }
  return load;
}

/// A policy that answers with one placement whatever it is asked.
class FixedPlanner final : public Planner {
 public:
  explicit FixedPlanner(Placement placement) : placement_(std::move(placement)) {}
  [[nodiscard]] PlanResult plan(const PlanProblem&, Threads, Progress&) const override {
    return {placement_, {}, 0};
  }

 private:
  Placement placement_;
};

}  // namespace moeshift::test
