// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/engine/committer.hpp"

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

/// What the model waits for comes first: a commit that takes no longer has nothing done beside it.
constexpr Seconds kUndivided{50e-6};

Seconds between(SteadyClock::time_point start, SteadyClock::time_point end) {
  return Seconds(std::chrono::duration<double>(end - start).count());
}

}  // namespace

std::string name_of(const StagingUnit& unit, const ShuffleJob& job) {
  const auto label = [&](const LayerCommit& commit) {
    return job.plan->layers[commit.layer].layer.value();
  };
  const LayerCommit& first = unit.layers.front();
  if (unit.layers.size() > 1) {
    return fmt::format("layers {}-{}", label(first), label(unit.layers.back()));
  }
  if (first.wave == 0 && first.last_wave) return fmt::format("layer {}", label(first));
  return fmt::format("layer {} wave {}", label(first), first.wave);
}

void Committer::commit(const Flight& flight, const std::function<void()>& beside) {
  const StagingUnit& unit = program_.units[flight.unit];
  context_.where = {job_.plan->layers[unit.layers.front().layer].layer, Phase::kVoted, "commit"};
  if (decide(unit, Verdict::kCommit) == Verdict::kWithdraw) {
    throw ShuffleFailure({context_.self(), context_.where.layer, Phase::kVoted,
                          "a peer gave up before it knew that all had voted"});
  }
  go_live(flight, beside);
}

bool Committer::settle(const Flight& flight) {
  const StagingUnit& unit = program_.units[flight.unit];
  if (context_.options.decisions == nullptr) return false;
  if (decide(unit, Verdict::kWithdraw) == Verdict::kWithdraw) return false;
  go_live(flight, {});
  return true;
}

Verdict Committer::decide(const StagingUnit& unit, Verdict wanted) const {
  if (context_.options.decisions == nullptr) return wanted;
  Ballot ballot{.rank = context_.self(), .parts = {}};
  for (const LayerCommit& layer : unit.layers) {
    ballot.parts.emplace_back(job_.plan->layers[layer.layer].layer, layer.wave);
  }
  return context_.options.decisions->decide(ballot, wanted);
}

void Committer::go_live(const Flight& flight, const std::function<void()>& beside) {
  const StagingUnit& unit = program_.units[flight.unit];
  const SteadyClock::time_point voted = SteadyClock::now();
  for (const LayerCommit& layer : unit.layers) {
    context_.outcome.layers[layer.layer].vote += between(*flight.staged, voted);
    context_.reach(layer.layer, layer.wave, layer.last_wave, Phase::kVoted);
  }
  std::vector<const LayerCommit*> commits;
  for (const LayerCommit& layer : unit.layers) {
    const bool live = context_.outcome.layers[layer.layer].waves_committed > layer.wave;
    if (!live) commits.push_back(&layer);
  }
  if (!commits.empty()) commit_together(commits, flight.set, beside);
  if (trouble_) std::rethrow_exception(std::exchange(trouble_, nullptr));
}

/// Layers that go live together share the time.
void Committer::commit_together(const std::vector<const LayerCommit*>& commits, std::size_t set,
                                const std::function<void()>& beside) {
  std::vector<Stretch> stretches;
  for (const LayerCommit* commit : commits) {
    const LayerId label = job_.plan->layers[commit->layer].layer;
    stretches.push_back({.kind = Stretch::Kind::kCommit,
                         .rank = context_.self(),
                         .name = fmt::format("layer {}", label.value()),
                         .index = commit->layer,
                         .start = SteadyClock::now(),
                         .end = {}});
    context_.observer.begins(stretches.back());
  }
  context_.where.layer = job_.plan->layers[commits.front()->layer].layer;
  const Seconds device = memory_.flips() ? flip(commits, set, beside) : copy(commits, set, beside);
  const double share = 1.0 / static_cast<double>(commits.size());
  for (std::size_t i = 0; i < commits.size(); ++i) {
    const LayerCommit& commit = *commits[i];
    LayerOutcome& layer = context_.outcome.layers[commit.layer];
    context_.where.layer = layer.layer;
    layer.waves_committed = commit.wave + 1;
    if (commit.last_wave) layer.epoch += 1;
    stretches[i].end = SteadyClock::now();
    layer.commit += between(stretches[i].start, stretches[i].end) * share;
    layer.commit_device += device * share;
    layer.committed_at = between(context_.start, stretches[i].end);
    context_.observer.ends(stretches[i]);
    context_.reach(commit.layer, commit.wave, commit.last_wave, Phase::kCommitted);
  }
}

/// Pass by pass, the same pass of all layers together: a small layer costs no launch of its own.
Seconds Committer::copy(const std::vector<const LayerCommit*>& commits, std::size_t set,
                        const std::function<void()>& beside) {
  Seconds device;
  std::size_t passes = 0;
  for (const LayerCommit* commit : commits) passes = std::max(passes, commit->passes.size());
  for (std::size_t pass = 0; pass < passes; ++pass) {
    std::vector<CopyRequest> copies;
    for (const LayerCommit* commit : commits) {
      if (pass >= commit->passes.size()) continue;
      std::ranges::copy(memory_.copies(commit->passes[pass], set), std::back_inserter(copies));
    }
    const auto work = context_.member.memory->copy(copies, CopyLane::kCommit);
    device += finish(*work, beside);
  }
  return device;
}

Seconds Committer::flip(const std::vector<const LayerCommit*>& commits, std::size_t set,
                        const std::function<void()>& beside) {
  SlotTable::Flip all;
  for (const LayerCommit* commit : commits) {
    SlotTable::Flip flip = memory_.flip(*commit, set);
    std::ranges::move(flip.copies, std::back_inserter(all.copies));
    std::ranges::move(flip.changes, std::back_inserter(all.changes));
  }
  DeviceMemory& memory = *context_.member.memory;
  Seconds device;
  const auto copies = all.copies.empty() ? nullptr : memory.copy(all.copies, CopyLane::kCommit);
  // The host does not come between the two: a way there and back takes as long as either.
  const auto change = memory.point(memory_.pointers(), all.changes);
  if (copies) device += finish(*copies, beside);
  return device + finish(*change, beside);
}

Seconds Committer::finish(Pending& work, const std::function<void()>& beside) {
  const auto go_on = [&] {
    try {
      beside();
    } catch (...) {
      trouble_ = std::current_exception();
    }
  };
  const SteadyClock::time_point begin = SteadyClock::now();
  context_.waiter.to_the_end(
      [&] {
        if (work.poll()) return true;
        if (beside && !trouble_ && since(begin) > kUndivided) go_on();
        return false;
      },
      context_.where, Deadline::in(context_.options.timeout));
  return work.device_time().value_or(Seconds(0.0));
}

}  // namespace moeshift
