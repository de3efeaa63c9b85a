// SPDX-License-Identifier: Apache-2.0
// Random rearrangements for the executor's tests.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "moeshift/core/rng.hpp"
#include "moeshift/execute/shuffle.hpp"
#include "moeshift/model/placement.hpp"
#include "moeshift/model/topology.hpp"
#include "moeshift/schedule/scheduler.hpp"

#include "tests/support/drilled.hpp"
#include "tests/support/random_placement.hpp"

namespace moeshift::test {

/// A rearrangement with everything that performing it takes.
struct Rearrangement {
  Placement old;
  Placement next;
  TransferPlan plan;
  ExpertLayouts layout;

  [[nodiscard]] ShuffleJob job() const { return {&plan, &old, &next, layout}; }
};

inline Rearrangement rearrangement(Placement old, Placement next, std::size_t nodes,
                                   ExpertLayouts layout, const ScheduleOptions& options = {}) {
  const std::size_t ranks = std::max(old.ranks(), next.ranks());
  // One thread: the thread sanitizer cannot see how oneTBB, built without it, hands work over.
  TransferPlan plan =
      make_transfer_plan(old, next, Topology(ranks, nodes), layout.sizes(), options, Threads{1});
  return {std::move(old), std::move(next), std::move(plan), std::move(layout)};
}

inline Rearrangement random_rearrangement(std::uint64_t seed, std::size_t layers,
                                          std::size_t experts, std::size_t ranks,
                                          std::size_t slots_per_rank, std::size_t nodes = 1,
                                          Bytes bytes = Bytes(4096)) {
  Rng rng(seed);
  const PlacementShape shape{layers, experts, ranks, slots_per_rank};
  Placement old = random_placement(shape, rng);
  Placement next = random_placement(shape, rng);
  return rearrangement(std::move(old), std::move(next), nodes, single_tensor_layout(bytes));
}

/// Ranks that are threads, and the faults that happen to them, as --inject takes them.
inline std::unique_ptr<World> host_world(std::size_t ranks, const std::string& drills = "") {
  return drilled(host_backend().open({.ranks = ranks, .place = {}, .settings = {}}), drills);
}

}  // namespace moeshift::test
