// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/engine/survey.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace moeshift {
namespace {

void compare_layer(RankContext& context, const RankMemory& memory, std::size_t layer) {
  RankOutcome& outcome = context.outcome;
  for (const auto& [layout, tasks] : memory.tasks(layer, outcome.layers[layer].waves_committed)) {
    const auto work = context.member.memory->verify(tasks, *layout);
    context.waiter.to_the_end(*work, context.where, Deadline::in(context.options.timeout));
    outcome.slots_verified += tasks.size();
    for (const Mismatch& mismatch : work->mismatches()) {
      const PatternTask& task = tasks[mismatch.task];
      outcome.faults.push_back({context.self(), outcome.layers[layer].layer,
                                memory.slot_at(layer, task.slot), task.key.expert,
                                mismatch.wrong_bytes, mismatch.first_offset});
    }
  }
}

void compare_fingerprints(RankContext& context, const ShuffleJob& job, const RankMemory& memory,
                          const Fingerprints& fingerprints, std::size_t layer) {
  RankOutcome& outcome = context.outcome;
  const std::vector<ExpertId> slots = memory.contents(layer, outcome.layers[layer].waves_committed);
  for (std::size_t slot = 0; slot < slots.size(); ++slot) {
    if (slots[slot].is_none()) continue;
    ++outcome.slots_verified;
    if (fingerprints.holds(job, memory, layer, slot, slots[slot])) continue;
    const Bytes bytes = job.layout.of(layer, slots[slot]).slot_bytes;
    outcome.faults.push_back({context.self(), outcome.layers[layer].layer, slot, slots[slot],
                              static_cast<std::uint64_t>(bytes.count()), 0});
  }
}

}  // namespace

void compare_every_byte(RankContext& context, const ShuffleJob& job, const RankMemory& memory,
                        const Fingerprints* fingerprints) {
  const SteadyClock::time_point begin = SteadyClock::now();
  const std::size_t layers = job.plan->layers.size();
  for (std::size_t layer = 0; layer < layers; ++layer) {
    const LayerOutcome& outcome = context.outcome.layers[layer];
    context.where = {.layer = outcome.layer, .phase = Phase::kCommitted, .wanted = "verification"};
    Stretch stretch{.kind = Stretch::Kind::kVerify,
                    .rank = context.self(),
                    .name = fmt::format("layer {}", outcome.layer.value()),
                    .index = layer,
                    .start = SteadyClock::now(),
                    .end = {}};
    context.observer.begins(stretch);
    if (fingerprints != nullptr) {
      compare_fingerprints(context, job, memory, *fingerprints, layer);
    } else {
      compare_layer(context, memory, layer);
    }
    context.observer.progressed(context.self(), "comparing every byte (layers)", layer + 1, layers);
    stretch.end = SteadyClock::now();
    context.observer.ends(stretch);
    if (context.outcome.failure) continue;
    const std::size_t last = std::max<std::size_t>(outcome.waves_committed, 1) - 1;
    context.reach(layer, last, true, Phase::kVerified);
  }
  context.outcome.times.verify = since(begin);
}

}  // namespace moeshift
