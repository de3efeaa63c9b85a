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

}  // namespace

void compare_every_byte(RankContext& context, const ShuffleJob& job, const RankMemory& memory) {
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
    compare_layer(context, memory, layer);
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
