// SPDX-License-Identifier: Apache-2.0
// Rounds in which every port sends to one and receives from one: a bipartite edge colouring.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace moeshift {

/// One message from a sender to a receiver; senders and receivers are numbered on their own.
struct PortPair {
  std::uint32_t sender = 0;
  std::uint32_t receiver = 0;
};

/// The largest number of edges at any sender or receiver.
[[nodiscard]] std::size_t max_degree(const std::vector<PortPair>& edges, std::size_t senders,
                                     std::size_t receivers);

/// A colour for every edge such that no two edges of a sender, and none of a receiver, share one.
///
/// Uses exactly max_degree colours (Koenig 1916), numbered from 0. Parallel edges are welcome.
/// Alternating paths: O(edges * (degree + path)).
[[nodiscard]] std::vector<std::uint32_t> color_edges(const std::vector<PortPair>& edges,
                                                     std::size_t senders, std::size_t receivers);

}  // namespace moeshift
