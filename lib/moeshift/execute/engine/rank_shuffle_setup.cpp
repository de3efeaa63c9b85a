// SPDX-License-Identifier: Apache-2.0
// RankShuffle until the clock starts: agreement, memory, weights, connections. Nothing is live yet.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/execute/engine/rank_shuffle.hpp"

namespace moeshift {
namespace {

/// Patterns and poison are written at least this fast; the setup is given that much more time.
constexpr BytesPerSecond kSlowestFill{0.25e9};

}  // namespace

void RankShuffle::prepare() {
  const SteadyClock::time_point begin = SteadyClock::now();
  agree_on_plan();
  agree_on_memory();
  allocate();
  fill();
  outcome_.times.setup = since(begin);
  connect();
  warm_up_foreground();
  meet({.wanted = "sign of readiness"}, options_.timeout + outcome_.memory / kSlowestFill);
  start_ = SteadyClock::now();
}

void RankShuffle::allocate() {
  memories_.reserve(jobs_.size());
  memories_.emplace_back(*member_.memory, program(), job(), self(), options_.buffers,
                         options_.seed);
  if (jobs_.size() > 1) memories_.emplace_back(memories_.front(), programs_[1], *jobs_[1]);
}

void RankShuffle::agree_on_plan() {
  const bool lie = find_drill(options_.drills, FaultDrill::Kind::kHash, self()) != nullptr;
  const std::string mine =
      fmt::format("plan {} slot {} buffers {} pack {} per pair {} mode {} seed {} repeat {}",
                  lie ? "0" : job().plan->hash, job().plan->sizes.largest().count(),
                  options_.buffers, rules_.pack_below.count(), rules_.messages_per_pair,
                  static_cast<int>(options_.mode), options_.seed, options_.repeat);
  const std::vector<std::string> said = gather(mine, {.wanted = "plan hash"}, options_.timeout);
  const auto agreeing = [&](const std::string& value) { return std::ranges::count(said, value); };
  const auto common = std::ranges::max_element(said, {}, agreeing);
  for (const RankId rank : all_ids<RankId>(said.size())) {
    if (said[rank.index()] == *common) continue;
    throw ShuffleFailure({.rank = rank,
                          .reason = fmt::format("hash mismatch: it has '{}', the others '{}'",
                                                said[rank.index()], *common)});
  }
}

void RankShuffle::agree_on_memory() {
  const bool none = find_drill(options_.drills, FaultDrill::Kind::kMemory, self()) != nullptr;
  const Bytes left = none ? Bytes(0) : member_.memory->available().value_or(outcome_.memory);
  const std::string mine = left < outcome_.memory ? std::to_string(left.count()) : "";
  const std::vector<std::string> said = gather(mine, {.wanted = "memory report"}, options_.timeout);
  for (const RankId rank : all_ids<RankId>(said.size())) {
    if (said[rank.index()].empty()) continue;
    throw InfeasibleError(
        fmt::format("rank {} has {} bytes of memory left, this rank needs {}; lower --layers, "
                    "--scale or --buffers",
                    rank.value(), said[rank.index()], outcome_.memory.count()));
  }
}

void RankShuffle::fill() {
  const Deadline deadline = Deadline::in(options_.timeout + outcome_.memory / kSlowestFill);
  for (const std::unique_ptr<Pending>& work : memory().start_poison()) {
    waiter_.until(*work, {.wanted = "poisoned memory"}, deadline);
  }
  const std::size_t layers = job().plan->layers.size();
  for (std::size_t layer = 0; layer < layers; ++layer) {
    for (const std::unique_ptr<Pending>& work : memory().start_fill(layer)) {
      waiter_.until(*work, {.wanted = "weights"}, deadline);
    }
    tell("writing weights (layers)", layer + 1, layers);
  }
}

void RankShuffle::connect() {
  // Poison and weights take a rank longer the more it has: meet before the clock starts.
  meet({.wanted = "weights"}, options_.timeout + outcome_.memory / kSlowestFill);
  const SteadyClock::time_point begin = SteadyClock::now();
  std::vector<RankId> others;
  for (const RankId rank : all_ids<RankId>(member_.control->size())) {
    if (rank != self()) others.push_back(rank);
  }
  const bool all = options_.baseline;
  member_.transport->connect(all ? others : program().send_to,
                             all ? others : program().receive_from, Deadline::in(options_.timeout));
  outcome_.times.connect = since(begin);
}

void RankShuffle::warm_up_foreground() {
  if (options_.foreground == ForegroundKind::kNone || !member_.make_foreground) return;
  foreground_ = member_.make_foreground(options_.foreground, options_.foreground_step);
  for (std::size_t step = 0; step < options_.undisturbed_steps; ++step) {
    waiter_.until(*foreground_->start_step(), {.wanted = "foreground step"},
                  Deadline::in(options_.timeout));
    outcome_.undisturbed.push_back(foreground_->last_step());
  }
}

}  // namespace moeshift
