// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/schedule_options.hpp"

#include "moeshift/core/error.hpp"

#include "apps/moeshift/option_value.hpp"

namespace moeshift::cli {

void ScheduleChoice::declare(Options& options) {
  std::vector<std::string> names = peer_schedule_names();
  names.insert(names.begin(), "best");
  options.choice("--schedule", schedule, names, "whose order of transfers: ours, or a peer's");
  options.option("--staging-bytes", staging, "staging memory per rank; default: as needed");
  options.flag("--batch", batches,
               "exchange small layers together, as the latencies of the cluster suggest");
  options.option("--batch-bytes", batch,
                 "the same, while no rank sends more than this between nodes");
  options.option("--chunk-bytes", chunk,
                 "cut messages into pieces of this size; default: one message per pair and group");
  options.option("--channels", channels,
                 "p2p channels of NCCL: bounds the messages of a pair in one group");
  options.flag("--direct", direct,
               "receive into the final slot where its old content is not needed: less memory, but "
               "a layer is neither old nor new until it is committed");
  options.list("--dead", dead, "ranks whose memory is lost: they are no sources");
}

ScheduleOptions ScheduleChoice::options_for_ours(const Cluster& cluster) const {
  ScheduleOptions options = options_for(cluster);
  options.staging_bytes = staging;
  options.direct = direct;
  options.channels = channels;
  if (batches) options.batch_bytes = batch_bytes_for(cluster);
  if (batch) options.batch_bytes = *batch;
  if (chunk && chunk->count() == 0) throw InputError("--chunk-bytes", "expected at least 1");
  if (chunk) options.chunk_bytes = *chunk;
  if (channels && *channels == 0) throw InputError("--channels", "expected at least 1");
  options.dead_ranks = parse_ranks("--dead", dead);
  return options;
}

TransferPlan ScheduleChoice::make_plan(const Rearrangement& task, Threads threads) const {
  const Bytes bytes = task.model.expert_bytes();
  if (schedule == "best") {
    return make_transfer_plan(task.old, task.next, task.topology, bytes,
                              options_for_ours(task.cluster), threads);
  }
  refuse_for_peers();
  return make_peer_plan(peer_schedule(schedule), task.old, task.next, task.topology, bytes,
                        tensors_per_expert(task.model), threads);
}

void ScheduleChoice::refuse_for_peers() const {
  const auto refuse = [](bool given, const char* option, const char* why) {
    if (given) throw InputError(option, why);
  };
  refuse(staging.has_value(), "--staging-bytes", "peers do not keep a budget");
  refuse(batches || batch, "--batch-bytes", "peers exchange each layer on its own");
  refuse(chunk.has_value(), "--chunk-bytes", "peers send a message per tensor");
  refuse(channels.has_value(), "--channels", "peers do not bound their groups");
  refuse(direct, "--direct", "peers stage everything");
  refuse(!dead.empty(), "--dead", "peers take every rank for alive");
}

const std::vector<std::string>& peer_schedule_names() {
  static const std::vector<std::string> kNames = {"vllm", "vllm-batched", "sglang"};
  return kNames;
}

PeerSchedule peer_schedule(const std::string& name) {
  if (name == "vllm") return PeerSchedule::kVllm;
  if (name == "vllm-batched") return PeerSchedule::kVllmBatched;
  if (name == "sglang") return PeerSchedule::kSglang;
  throw InputError("--schedule", "expected vllm, vllm-batched or sglang, found '" + name + "'");
}

std::uint32_t tensors_per_expert(const MoeModel& model) {
  return static_cast<std::uint32_t>(model.expert_tensors.size());
}

}  // namespace moeshift::cli
