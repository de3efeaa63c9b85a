// SPDX-License-Identifier: Apache-2.0
// The orders in which other systems move experts, as transfer plans: to compare with, not to run.
#pragma once

#include <cstdint>
#include <string_view>

#include "moeshift/core/parallel.hpp"
#include "moeshift/core/units.hpp"
#include "moeshift/model/placement.hpp"
#include "moeshift/model/topology.hpp"
#include "moeshift/model/transfer_plan.hpp"
#include "moeshift/schedule/layer_needs.hpp"

namespace moeshift {

enum class PeerSchedule {
  kVllm,         ///< one message per tensor, one batch per layer, sources by rank order
  kVllmBatched,  ///< the same flows in half-duplex first-fit batches
  kSglang,       ///< same-node sources first, batches of 32 logical experts
  kAscend,       ///< as kVllm, from the lowest rank that gives the expert up, else that holds it
};

/// Re-enacts a peer's rearrangement: the same weights delivered, every expert sent to each rank
/// that needs it on its own, every local move and every received expert staged in a buffer.
///
/// Groups are the peer's batches. Rounds number the groups: peers do not keep the rule of one
/// message per port and round, so such a plan is for price() alone.
///
/// @param tensors_per_expert messages that carry one expert.
/// @throws InputError as make_transfer_plan.
/// Sources: vllm-project/vllm vllm/distributed/eplb/rebalance_execute.py `move_to_buffer` and
/// #52641 (batches); sgl-project/sglang python/sglang/srt/eplb/expert_location_updater.py and
/// #30829 (chunks of 32); vllm-project/vllm-ascend vllm_ascend/eplb/core/eplb_worker.py
/// `compose_expert_update_info_greedy`. Theirs are Python and per rank; ours sees all ranks at
/// once.
[[nodiscard]] TransferPlan make_peer_plan(PeerSchedule peer, const Placement& old,
                                          const Placement& next, const Topology& topology,
                                          const ExpertSizes& sizes,
                                          std::uint32_t tensors_per_expert, Threads threads = {});

/// The peer's transfers of one layer, in its groups, without a place to land.
[[nodiscard]] Wave peer_exchange(PeerSchedule peer, const LayerNeeds& needs,
                                 const Topology& topology);

/// Lets everything land in a buffer and be copied from there, local moves included.
/// @param buffers handed out per rank; counted on.
void stage_everything(Wave& wave, const LayerNeeds& needs,
                      IdVector<RankId, std::uint32_t>& buffers);

}  // namespace moeshift
