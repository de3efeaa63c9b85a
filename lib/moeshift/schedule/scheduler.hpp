// SPDX-License-Identifier: Apache-2.0
// From two placements to what must move, from whom, in which order, through which buffers.
#pragma once

#include <optional>
#include <vector>

#include "moeshift/core/parallel.hpp"
#include "moeshift/core/units.hpp"
#include "moeshift/model/cluster.hpp"
#include "moeshift/model/placement.hpp"
#include "moeshift/model/topology.hpp"
#include "moeshift/model/transfer_plan.hpp"

namespace moeshift {

/// Which layers are exchanged together for what they stage: starting a group costs some tens of
/// microseconds, and filling and draining the pipeline about one group's worth of its time.
struct Joining {
  /// Layers are joined while the rank that receives or copies most stages less than this in one
  /// batch. 0 = never.
  Bytes below;
  /// In a long rearrangement larger batches pay: while that rank stages less than a sixth of what
  /// it stages in all, up to this.
  Bytes up_to;
};

struct ScheduleOptions {
  /// Staging memory per rank; absent = as much as one whole layer needs. A layer that needs more is
  /// cut into waves, each staged and committed before the next.
  std::optional<Bytes> staging_bytes;
  /// How much longer an expert takes between nodes than inside one; 8 as NVLink beside one NDR NIC.
  double inter_round_per_intra_round = 8;
  /// Layers are exchanged together while no rank sends or receives more than this between nodes;
  /// bytes inside a node count inter_round_per_intra_round times less. 0 = each layer on its own.
  Bytes batch_bytes;
  /// After batch_bytes; whole batches of several layers stay as they are.
  Joining join;
  /// Messages are cut into pieces of at most this. 0 = one message per pair and group.
  Bytes chunk_bytes;
  /// NCCL's p2p channels: no pair exchanges more than messages_per_pair(channels) messages in one
  /// group. Absent = no such bound.
  std::optional<std::size_t> channels;
  /// Receive into the final slot wherever nobody needs its old content any more. Saves staging
  /// memory and copies, but a layer is neither old nor new while it is staged: for a model that
  /// stands still and a caller that can reload.
  bool direct = false;
  /// Ranks whose memory is lost: they may receive, but what they held is gone.
  std::vector<RankId> dead_ranks;
};

/// The options that suit a machine: the ratio of its links.
[[nodiscard]] ScheduleOptions options_for(const Cluster& cluster);

/// Batches on this machine in which what a batch costs besides its bytes (launch, latency, vote,
/// commit) is at most a tenth.
[[nodiscard]] Bytes batch_bytes_for(const Cluster& cluster);

/// A batch that stages no more than this on any rank is a small one: several fit where one of
/// large experts does.
inline constexpr Bytes kSmallBatch{std::int64_t{128} << 20U};
/// Sets of staging buffers where no batch has more bytes than `largest`: of small ones as many as
/// suit the transport, else two: one arrives while the other is committed.
[[nodiscard]] constexpr std::size_t buffer_sets(Bytes largest, std::size_t of_small_batches) {
  return largest <= kSmallBatch ? of_small_batches : 2;
}

/// What the batches of a plan stage at most, on the rank that stages most.
[[nodiscard]] Bytes largest_batch(const TransferPlan& plan);

/// Works out the rearrangement from `old` to `next`.
///
/// Where all experts of a layer have one size, rounds are as few as the busiest port has messages
/// (Koenig); else they are weighted by bytes (weighted_rounds.hpp), and so is the choice of
/// sources.
/// @param topology of the larger of the two worlds.
/// @param sizes all tensors of each expert, scales included, > 0 bytes.
/// @return a plan in which every changed slot receives its expert exactly once, every round has
///         at most one send and one receive per rank and port class, and nothing is overwritten
///         before its last reader is done; without `direct` nothing live before the commit.
/// @throws InputError when layers, experts or ranks disagree or `old` lacks experts of `next` (all
///         are listed); InfeasibleError when only dead ranks hold experts (all are listed), when
///         the staging budget holds no expert where one is needed, or when chunks are too small for
///         the channels: the last two name what would do.
[[nodiscard]] TransferPlan make_transfer_plan(const Placement& old, const Placement& next,
                                              const Topology& topology, const ExpertSizes& sizes,
                                              const ScheduleOptions& options = {},
                                              Threads threads = {});

}  // namespace moeshift
