// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/engine/setup.hpp"

#include <algorithm>
#include <string>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

/// Patterns and poison are written at least this fast; the setup is given that much more time.
constexpr BytesPerSecond kSlowestFill{0.25e9};

Seconds fill_allowance(const RankContext& context) {
  return context.options.timeout + context.outcome.memory / kSlowestFill;
}

}  // namespace

std::unique_ptr<Foreground> Setup::run(std::vector<RankMemory>& memories,
                                       Fingerprints* fingerprints) const {
  const SteadyClock::time_point begin = SteadyClock::now();
  agree_on_plan();
  agree_on_memory();
  memories.reserve(jobs_.size());
  memories.emplace_back(*context_.member.memory, programs_[0], *jobs_[0], context_.self(),
                        context_.options);
  for (std::size_t i = 1; i < jobs_.size(); ++i) {
    memories.emplace_back(memories[0], programs_[i], *jobs_[i]);
  }
  fill(memories[0], fingerprints);
  context_.outcome.times.setup = since(begin);
  connect();
  std::unique_ptr<Foreground> foreground = warm_up_foreground();
  context_.meet({.wanted = "sign of readiness"}, fill_allowance(context_));
  return foreground;
}

void Setup::agree_on_plan() const {
  const ShuffleOptions& options = context_.options;
  const TransferPlan& plan = *jobs_[0]->plan;
  const std::string mine = fmt::format(
      "plan {} slot {} buffers {} pack {}/{}/{} per pair {}/{} mode {}/{} seed {} repeat {}",
      plan.hash, plan.sizes.largest().count(), options.buffers, rules_.pack_below.count(),
      rules_.gather_first.count(), rules_.one_by_one, rules_.messages_per_pair,
      rules_.messages_inside, static_cast<int>(options.mode), static_cast<int>(options.commit),
      options.seed, options.repeat);
  const std::vector<std::string> said =
      context_.gather(mine, {.wanted = "plan hash"}, options.timeout);
  const auto agreeing = [&](const std::string& value) { return std::ranges::count(said, value); };
  const auto common = std::ranges::max_element(said, {}, agreeing);
  for (const RankId rank : all_ids<RankId>(said.size())) {
    if (said[rank.index()] == *common) continue;
    throw ShuffleFailure({.rank = rank,
                          .reason = fmt::format("hash mismatch: it has '{}', the others '{}'",
                                                said[rank.index()], *common)});
  }
}

void Setup::agree_on_memory() const {
  const Bytes needed = context_.outcome.memory;
  const Bytes left = context_.member.memory->available().value_or(needed);
  const std::string mine = left < needed ? std::to_string(left.count()) : "";
  const std::vector<std::string> said =
      context_.gather(mine, {.wanted = "memory report"}, context_.options.timeout);
  for (const RankId rank : all_ids<RankId>(said.size())) {
    if (said[rank.index()].empty()) continue;
    throw InfeasibleError(fmt::format("rank {} has {} bytes of memory left, this rank needs {}",
                                      rank.value(), said[rank.index()], needed.count()));
  }
}

void Setup::fill(const RankMemory& memory, Fingerprints* fingerprints) const {
  const Deadline deadline = Deadline::in(fill_allowance(context_));
  if (const std::unique_ptr<Pending> pointers = memory.start_pointers()) {
    context_.waiter.until(*pointers, {.wanted = "a table of pointers"}, deadline);
  }
  const std::vector<std::span<std::byte>> pieces = memory.poisonable();
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const auto bytes = Bytes(static_cast<std::int64_t>(pieces[i].size()));
    context_.waiter.until(*context_.member.memory->poison(pieces[i].data(), bytes),
                          {.wanted = "poisoned memory"}, deadline);
    context_.observer.progressed(context_.self(), "preparing memory", i + 1, pieces.size());
  }
  if (fingerprints != nullptr) {  // the weights are there already
    if (context_.options.verify) fingerprints->take(context_, *jobs_[0], memory);
    return;
  }
  const std::size_t layers = jobs_[0]->plan->layers.size();
  for (std::size_t layer = 0; layer < layers; ++layer) {
    for (const std::unique_ptr<Pending>& work : memory.start_fill(layer)) {
      context_.waiter.until(*work, {.wanted = "weights"}, deadline);
    }
    context_.observer.progressed(context_.self(), "writing weights (layers)", layer + 1, layers);
  }
}

void Setup::connect() const {
  // Poison and weights take a rank longer the more it has: meet before the clock starts.
  context_.meet({.wanted = "weights"}, fill_allowance(context_));
  const SteadyClock::time_point begin = SteadyClock::now();
  std::vector<RankId> others;
  for (const RankId rank : all_ids<RankId>(context_.member.control->size())) {
    if (rank != context_.self()) others.push_back(rank);
  }
  const bool all = context_.options.baseline;
  context_.member.transport->connect(all ? others : programs_[0].send_to,
                                     all ? others : programs_[0].receive_from,
                                     Deadline::in(context_.options.timeout));
  context_.outcome.times.connect = since(begin);
}

std::unique_ptr<Foreground> Setup::warm_up_foreground() const {
  const ShuffleOptions& options = context_.options;
  if (options.foreground == ForegroundKind::kNone || !context_.member.make_foreground) return {};
  auto foreground = context_.member.make_foreground(options.foreground, options.foreground_step);
  for (std::size_t step = 0; step < options.undisturbed_steps; ++step) {
    context_.waiter.until(*foreground->start_step(), {.wanted = "foreground step"},
                          Deadline::in(options.timeout));
    context_.outcome.undisturbed.push_back(foreground->last_step());
  }
  return foreground;
}

}  // namespace moeshift
