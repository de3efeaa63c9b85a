// SPDX-License-Identifier: Apache-2.0
// When each hop happens: rounds of one send and one receive per port, and groups of rounds.
#pragma once

#include <cstdint>
#include <vector>

#include "moeshift/schedule/routes.hpp"

namespace moeshift {

struct HopTime {
  std::uint32_t round = 0;
  std::uint32_t group = 0;
};

/// Orders the hops of one layer.
///
/// Rounds are counted per port class, since intra-node and inter-node ports work side by side, each
/// full duplex: a class has as many rounds as its busiest port has hops, which nothing can beat;
/// where experts differ in size, rounds are weighted (weighted_rounds.hpp).
/// A layer in which nothing is handed on is one group. Otherwise there are two: first the crossings
/// that others wait for, then what is handed on, beside one last round of other crossings where
/// such a round exists, so that both port classes stay busy. Crossings that follow a tree keep its
/// rounds, and have a group wherever one reads what another one brought.
///
/// @param inter_round_per_intra_round how much longer a round between nodes takes; says how many
///        rounds inside nodes fit beside the crossings of a group.
/// @return one entry per hop.
[[nodiscard]] std::vector<HopTime> order_hops(const std::vector<Hop>& hops, const LayerNeeds& needs,
                                              std::size_t ranks,
                                              double inter_round_per_intra_round);

}  // namespace moeshift
