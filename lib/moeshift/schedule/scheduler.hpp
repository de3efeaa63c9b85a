// SPDX-License-Identifier: Apache-2.0
// From two placements to what must move, from whom, in which order, through which buffers.
#pragma once

#include <optional>
#include <vector>

#include "moeshift/core/parallel.hpp"
#include "moeshift/core/units.hpp"
#include "moeshift/model/placement.hpp"
#include "moeshift/model/topology.hpp"
#include "moeshift/model/transfer_plan.hpp"

namespace moeshift {

struct ScheduleOptions {
  /// Staging memory per rank; absent = as much as one whole layer needs. A layer that needs more is
  /// cut into waves, each staged and committed before the next.
  std::optional<Bytes> staging_bytes;
  /// How much longer an expert takes between nodes than inside one; 8 as NVLink beside one NDR NIC.
  double inter_round_per_intra_round = 8;
  /// Ranks whose memory is lost: they may receive, but what they held is gone.
  std::vector<RankId> dead_ranks;
};

/// Works out the rearrangement from `old` to `next`.
///
/// @param topology of the larger of the two worlds.
/// @param expert_bytes all tensors of one expert, scales included.
/// @return a plan in which every changed slot receives its expert exactly once, every round has
///         at most one send and one receive per rank and port class, and nothing live is
///         overwritten before its last reader is done.
/// @throws InputError when layers, experts or ranks disagree, or, listing them, when experts of
///         `next` have no live holder in `old`; InfeasibleError when the staging budget cannot hold
///         any schedule.
[[nodiscard]] TransferPlan make_transfer_plan(const Placement& old, const Placement& next,
                                              const Topology& topology, Bytes expert_bytes,
                                              const ScheduleOptions& options = {},
                                              Threads threads = {});

}  // namespace moeshift
