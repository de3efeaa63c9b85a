// SPDX-License-Identifier: Apache-2.0
// The options that say how experts are scheduled, and the plan they come to.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "moeshift/core/parallel.hpp"
#include "moeshift/model/transfer_plan.hpp"
#include "moeshift/schedule/peer_schedules.hpp"
#include "moeshift/schedule/scheduler.hpp"

#include "apps/moeshift/cli.hpp"
#include "apps/moeshift/rearrangement.hpp"

namespace moeshift::cli {

struct ScheduleChoice {
  std::string schedule = "best";
  std::optional<Bytes> staging;
  bool batches = false;
  std::optional<Bytes> batch;
  std::optional<Bytes> chunk;
  std::optional<std::size_t> channels;
  bool direct = false;
  std::vector<std::string> dead;

  void declare(Options& options);
  /// @throws InputError for options that do not go together.
  [[nodiscard]] ScheduleOptions options_for_ours(const Cluster& cluster) const;
  [[nodiscard]] TransferPlan make_plan(const Rearrangement& task, Threads threads) const;

 private:
  void refuse_for_peers() const;
};

/// "vllm", "vllm-batched", "sglang".
[[nodiscard]] const std::vector<std::string>& peer_schedule_names();
/// @throws InputError for another name.
[[nodiscard]] PeerSchedule peer_schedule(const std::string& name);
/// Messages that carry one expert of the model at a peer.
[[nodiscard]] std::uint32_t tensors_per_expert(const MoeModel& model);

}  // namespace moeshift::cli
