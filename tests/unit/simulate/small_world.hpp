// SPDX-License-Identifier: Apache-2.0
// A deployment small enough to work out by hand.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <memory>
#include <utility>
#include <vector>

#include "moeshift/simulate/lane.hpp"

#include "tests/support/small_machine.hpp"

namespace moeshift::test {

inline Deployment small_deployment(std::size_t ranks, std::size_t nodes,
                                   const ServingParameters& parameters = small_parameters(),
                                   Bytes expert_bytes = Bytes(1'000'000)) {
  const Cluster cluster = small_cluster();
  return {.model = ServingModel(parameters, cluster, Topology(ranks, nodes), 2),
          .cluster = cluster,
          .expert_sizes = expert_bytes,
          .expert_groups = 1};
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
