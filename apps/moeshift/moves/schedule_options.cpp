// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/moves/schedule_options.hpp"

#include "moeshift/core/error.hpp"

#include "apps/moeshift/cli/option_value.hpp"

namespace moeshift::cli {

void ScheduleLimits::declare(Options& options) {
  options.option("--staging-bytes", staging, "staging memory per rank; default: as needed");
  options.flag("--batch", batches,
               "exchange small layers together, as the latencies of the cluster suggest");
  options.option("--batch-bytes", batch,
                 "the same, while no rank sends more than this between nodes");
  options.option("--join-below", join_below,
                 "the same, while the rank that stages most stages less than this; default: no, "
                 "execute: the transport's");
  options.option("--chunk-bytes", chunk,
                 "cut messages into pieces of this size; default: one message per pair and group");
  options.option("--channels", channels,
                 "p2p channels of NCCL: bounds the messages of a pair in one group");
}

ScheduleOptions ScheduleLimits::apply_to(ScheduleOptions options, const Cluster& cluster,
                                         Joining of_transport) const {
  if (chunk && chunk->count() == 0) throw InputError("--chunk-bytes", "expected at least 1");
  if (channels && *channels == 0) throw InputError("--channels", "expected at least 1");
  options.staging_bytes = staging;
  options.channels = channels;
  if (batches) options.batch_bytes = batch_bytes_for(cluster);
  if (batch) options.batch_bytes = *batch;
  const bool asked = batches || batch;
  options.join = asked ? Joining{} : of_transport;
  if (join_below) options.join = {.below = *join_below, .up_to = {}};
  if (chunk) options.chunk_bytes = *chunk;
  return options;
}

void ScheduleChoice::declare(Options& options) {
  std::vector<std::string> names = peer_schedule_names();
  names.insert(names.begin(), "best");
  options.choice("--schedule", schedule, names,
                 "whose order and messages to use: ours, or a peer's");
  options.option(
      "--buffers", buffers,
      "sets of staging buffers: batches in flight per rank; default: 2, small ones by nccl "
      "4, peers 1");
  limits.declare(options);
  options.flag("--direct", direct,
               "receive into the final slot where its old content is not needed: less memory, but "
               "a layer is neither old nor new until it is committed");
  options.list("--dead", dead, "ranks whose memory is lost: they are no sources");
}

std::optional<PeerSchedule> ScheduleChoice::peer() const {
  if (schedule == "best") return std::nullopt;
  return peer_schedule(schedule);
}

std::size_t ScheduleChoice::buffer_sets(std::size_t ours) const {
  if (buffers == std::size_t{0}) throw InputError("--buffers", "expected at least 1");
  return buffers.value_or(peer() ? 1 : ours);
}

ScheduleOptions ScheduleChoice::options_for_ours(const Cluster& cluster, Joining joining) const {
  ScheduleOptions options = limits.apply_to(options_for(cluster), cluster, joining);
  options.direct = direct;
  options.dead_ranks = dead_ranks();
  return options;
}

std::vector<RankId> ScheduleChoice::dead_ranks() const {
  return parse_ranks("--dead", dead);
}

TransferPlan ScheduleChoice::make_plan(const MoveTask& task, Threads threads) const {
  const ExpertSizes sizes = task.model.expert_sizes();
  if (!peer()) {
    return make_transfer_plan(task.old, task.next, task.topology, sizes,
                              options_for_ours(task.cluster), threads);
  }
  refuse_for_peers();
  return make_peer_plan(*peer(), task.old, task.next, task.topology, sizes,
                        tensors_per_expert(task.model), threads);
}

void ScheduleChoice::refuse_for_peers() const {
  const auto refuse = [](bool given, const char* option, const char* why) {
    if (given) throw InputError(option, why);
  };
  refuse(limits.staging.has_value(), "--staging-bytes", "peers do not keep a budget");
  refuse(limits.batches || limits.batch, "--batch-bytes", "peers exchange each layer on its own");
  refuse(limits.join_below.has_value(), "--join-below", "peers exchange each layer on its own");
  refuse(limits.chunk.has_value(), "--chunk-bytes", "peers send a message per tensor");
  refuse(limits.channels.has_value(), "--channels", "peers do not bound their groups");
  refuse(direct, "--direct", "peers stage everything");
  refuse(!dead.empty(), "--dead", "peers take every rank for alive");
}

const std::vector<std::string>& peer_schedule_names() {
  static const std::vector<std::string> kNames = {"vllm", "vllm-batched", "sglang", "ascend"};
  return kNames;
}

PeerSchedule peer_schedule(const std::string& name) {
  if (name == "vllm") return PeerSchedule::kVllm;
  if (name == "vllm-batched") return PeerSchedule::kVllmBatched;
  if (name == "sglang") return PeerSchedule::kSglang;
  if (name == "ascend") return PeerSchedule::kAscend;
  throw InputError("--schedule",
                   "expected vllm, vllm-batched, sglang or ascend, found '" + name + "'");
}

std::uint32_t tensors_per_expert(const MoeModel& model) {
  return static_cast<std::uint32_t>(model.expert_tensors.size());
}

}  // namespace moeshift::cli
