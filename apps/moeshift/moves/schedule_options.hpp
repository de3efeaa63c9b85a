// SPDX-License-Identifier: Apache-2.0
// The options that say how experts are scheduled, and the plan they come to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "moeshift/core/parallel.hpp"
#include "moeshift/model/transfer_plan.hpp"
#include "moeshift/schedule/peer_schedules.hpp"
#include "moeshift/schedule/scheduler.hpp"

#include "apps/moeshift/cli/command.hpp"
#include "apps/moeshift/inputs/move_task.hpp"

namespace moeshift::cli {

/// How much travels at once, and through how much memory.
struct ScheduleLimits {
  std::optional<Bytes> staging;
  bool batches = false;
  std::optional<Bytes> batch;
  std::optional<Bytes> join_below;
  std::optional<Bytes> chunk;
  std::optional<std::size_t> channels;

  void declare(Options& options);
  /// @throws InputError for limits of nothing.
  /// @param joining where no option says how layers are joined.
  [[nodiscard]] ScheduleOptions apply_to(ScheduleOptions options, const Cluster& cluster,
                                         Joining joining = {}) const;
};

/// Everything that `moves` and `execute` can be told about the schedule: the same options make the
/// same plan.
struct ScheduleChoice {
  std::string schedule = "best";
  ScheduleLimits limits;
  std::optional<std::size_t> buffers;
  bool direct = false;
  std::vector<std::string> dead;

  void declare(Options& options);
  /// Whose order to move experts in; nothing = ours.
  [[nodiscard]] std::optional<PeerSchedule> peer() const;
  /// Batches in flight; the peers wait for a layer before they begin the next one.
  /// @param ours where no option says how many.
  /// @throws InputError for 0.
  [[nodiscard]] std::size_t buffer_sets(std::size_t ours = 2) const;
  [[nodiscard]] std::vector<RankId> dead_ranks() const;
  /// @throws InputError for options that do not go together.
  [[nodiscard]] ScheduleOptions options_for_ours(const Cluster& cluster,
                                                 Joining joining = {}) const;
  [[nodiscard]] TransferPlan make_plan(const MoveTask& task, Threads threads) const;
  /// @throws InputError for what peers cannot do.
  void refuse_for_peers() const;
};

/// "vllm", "vllm-batched", "sglang", "ascend".
[[nodiscard]] const std::vector<std::string>& peer_schedule_names();
/// @throws InputError for another name.
[[nodiscard]] PeerSchedule peer_schedule(const std::string& name);
/// Messages that carry one expert of the model at a peer.
[[nodiscard]] std::uint32_t tensors_per_expert(const MoeModel& model);

}  // namespace moeshift::cli
