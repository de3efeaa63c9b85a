// SPDX-License-Identifier: Apache-2.0
// How much travels at once: small layers together, large ones in several groups.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "moeshift/core/id_vector.hpp"
#include "moeshift/model/transfer_plan.hpp"

namespace moeshift {

/// Messages that one pair may exchange in one group.
///
/// NCCL cuts a group into several kernels once D * C + C > 254 (C p2p channels, D messages per
/// pair), at a point that each rank finds in its own queue; two ranks that cut differently wait for
/// each other for ever. D = max(1, 200 / C) never gets there. Source: NVIDIA/nccl v2.28.9-1
/// src/enqueue.cc (254 batch records of 16 bytes per kernel).
[[nodiscard]] std::size_t messages_per_pair(std::size_t channels);

struct JoinLimits {
  /// The most that a port may send or receive in a batch, as if all went between nodes.
  Bytes port;
  double inter_round_per_intra_round = 8;
  std::optional<Bytes> staging;  ///< per rank; none: as much as it takes
  std::size_t layers = 0;        ///< changed layers of a batch; 0 = any number
};

/// Sets `plan.batches` and `plan.staging_slots`: consecutive layers of one wave each are exchanged
/// together as long as that keeps the limits; every other layer is a batch of its own, and batches
/// of several layers stay as they are. The buffers of a batch are numbered jointly.
///
/// The layers of a batch are voted for together: fewer and larger steps are all or nothing.
/// @param buffers per layer and rank: how many the layer uses on its own.
void join_layers(TransferPlan& plan, const std::vector<IdVector<RankId, std::uint32_t>>& buffers,
                 const JoinLimits& limits);

/// What the rank stages in all, waves and layers added up, that stages most. O(moves).
[[nodiscard]] Bytes most_staged(const TransferPlan& plan);

/// Cuts groups so that no pair exchanges more than `experts` in one; a group stays a run of rounds,
/// and what came in a later group still does.
/// @param experts at least the largest number of changed layers in a batch.
void cut_groups(TransferPlan& plan, std::size_t experts);

}  // namespace moeshift
