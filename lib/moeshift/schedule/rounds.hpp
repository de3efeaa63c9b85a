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
/// Intra-node and inter-node ports work side by side, each full duplex. A relayed hop comes in a
/// later round and a later group than the hop it waits for. Without relayed hops the number of
/// rounds is the larger maximal degree of the two port classes, which nothing can beat.
/// @return one entry per hop.
[[nodiscard]] std::vector<HopTime> order_hops(const std::vector<Hop>& hops, const LayerNeeds& needs,
                                              std::size_t ranks);

}  // namespace moeshift
