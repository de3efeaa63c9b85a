// SPDX-License-Identifier: Apache-2.0
// One round that every busiest port takes part in.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "moeshift/schedule/edge_coloring.hpp"

namespace moeshift {

/// A matching of edges that covers every sender and every receiver it must.
///
/// @param allowed per edge, whether the matching may use it.
/// @param must_send, must_receive flags per sender and receiver.
/// @return indices of edges, ascending by sender; nothing when no such matching exists.
/// Augmenting paths, first from the senders, then from the receivers, where a path may also end by
/// uncovering a vertex that need not be covered (Mendelsohn and Dulmage 1958). O(vertices * edges).
[[nodiscard]] std::optional<std::vector<std::uint32_t>> covering_matching(
    const std::vector<PortPair>& edges, const std::vector<bool>& allowed,
    const std::vector<bool>& must_send, const std::vector<bool>& must_receive);

}  // namespace moeshift
