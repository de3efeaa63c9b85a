// SPDX-License-Identifier: Apache-2.0
// Copies that have arrived as further sources: trees for experts that many nodes need.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "moeshift/model/topology.hpp"
#include "moeshift/schedule/layer_needs.hpp"

namespace moeshift {

/// An expert that has to enter a node; `root` is the rank of that node that receives it.
struct Crossing {
  ExpertId expert;
  RankId root;
};

/// Who sends a crossing, and in which round.
struct CrossingStep {
  static constexpr std::uint32_t kLive = std::numeric_limits<std::uint32_t>::max();

  Holder source;                ///< when `after` is kLive
  std::uint32_t after = kLive;  ///< the crossing whose root sends on what it received
  std::uint32_t round = 0;      ///< later than the round of `after`
};

struct CrossingTree {
  std::vector<CrossingStep> steps;  ///< as the crossings
  std::size_t rounds = 0;
  std::size_t groups = 0;          ///< runs of rounds without a step that reads what the run brings
  std::size_t rack_crossings = 0;  ///< one per expert and rack that lacks it
};

/// Sends every crossing once, with at most one send and one receive per rank and round; who has
/// received an expert may send it on. Experts that most nodes still wait for go first, a rack that
/// lacks an expert receives it once.
///
/// An expert that one rank holds and n nodes need takes n rounds from that rank alone, but about
/// log2(n) here (a binomial tree). Greedy: choosing cloned sources optimally is NP-hard (Khuller,
/// Kim, Wan, "Algorithms for data migration with cloning", 2003). O(rounds * crossings * holders).
[[nodiscard]] CrossingTree spread(const std::vector<Crossing>& crossings, const LayerNeeds& needs,
                                  const Topology& topology);

}  // namespace moeshift
