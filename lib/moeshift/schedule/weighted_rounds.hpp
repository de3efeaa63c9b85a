// SPDX-License-Identifier: Apache-2.0
// Rounds of messages of different sizes: a round takes as long as its largest message.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "moeshift/schedule/edge_coloring.hpp"

namespace moeshift {

/// The most that any sender or receiver has to do: no order of rounds is shorter together.
[[nodiscard]] std::int64_t weighted_degree(const std::vector<PortPair>& edges,
                                           const std::vector<std::int64_t>& weights,
                                           std::size_t senders, std::size_t receivers);

/// One round and how long it takes.
struct TightRound {
  std::vector<std::uint32_t> edges;
  std::int64_t length = 0;
};

/// A round that wastes nothing: it lowers the weighted degree of what is `open` by its own length.
/// The longest such one that uses only `usable` edges; nothing when there is none.
///
/// A round of length d does when every port with more to do than the degree less d sends or
/// receives at least what it has above that. With equal weights those are the busiest ports, and
/// there always is a round (Koenig).
/// O(distinct weights * vertices * edges).
[[nodiscard]] std::optional<TightRound> take_tight_round(const std::vector<PortPair>& edges,
                                                         const std::vector<std::int64_t>& weights,
                                                         const std::vector<bool>& open,
                                                         const std::vector<bool>& usable,
                                                         std::size_t senders,
                                                         std::size_t receivers);

/// A round for every edge, numbered from 0, such that every port takes part in a round once and
/// the lengths of the rounds, added up, come close to the weighted degree.
///
/// With equal weights color_edges. Else the shortest of three: tight rounds while there are any,
/// the edge colouring as if the weights were equal, and the largest messages first, each into the
/// first round that is free at both ends (at most twice the best: Kesselman, Kogan, "Nonpreemptive
/// scheduling of optical switches", 2007).
/// Messages are never cut: where that would be needed to reach the degree, the sum stays above it.
[[nodiscard]] std::vector<std::uint32_t> color_weighted_edges(
    const std::vector<PortPair>& edges, const std::vector<std::int64_t>& weights,
    std::size_t senders, std::size_t receivers);

/// The largest weight of each round, added up.
[[nodiscard]] std::int64_t length_of_rounds(const std::vector<std::uint32_t>& rounds,
                                            const std::vector<std::int64_t>& weights);

}  // namespace moeshift
