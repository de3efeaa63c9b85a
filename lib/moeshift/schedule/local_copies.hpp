// SPDX-License-Identifier: Apache-2.0
// Copies that stay on their rank, in an order in which nothing is overwritten too early.
#pragma once

#include <span>
#include <vector>

#include "moeshift/core/id_vector.hpp"
#include "moeshift/model/transfer_plan.hpp"
#include "moeshift/schedule/layer_needs.hpp"

namespace moeshift {

struct LocalCopies {
  std::vector<LocalCopy> stage;   ///< live -> staging, one per cycle
  std::vector<LocalCopy> commit;  ///< per rank in this order, before any other commit copy
};

/// Orders the local moves of a layer so that they happen in place: live -> live.
///
/// A slot is written once nobody reads it any more. What is left then are cycles; one of a cycle's
/// experts is taken from another slot that holds it or, for want of one, put aside in a buffer: the
/// least scratch that will do.
/// @param next_buffer staging buffers handed out per rank; counted on.
/// O(moves^2) per rank, and a rank has few.
[[nodiscard]] LocalCopies order_local_moves(std::span<const LocalMove> moves,
                                            IdVector<RankId, std::uint32_t>& next_buffer);

}  // namespace moeshift
