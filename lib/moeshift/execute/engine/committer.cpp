// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/engine/committer.hpp"

#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

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
  for (const LayerCommit& layer : unit.layers) {
    const bool live = context_.outcome.layers[layer.layer].waves_committed > layer.wave;
    if (!live) commit_layer(layer, flight.set, beside);
  }
  if (trouble_) std::rethrow_exception(std::exchange(trouble_, nullptr));
}

void Committer::commit_layer(const LayerCommit& commit, std::size_t set,
                             const std::function<void()>& beside) {
  LayerOutcome& layer = context_.outcome.layers[commit.layer];
  context_.where.layer = layer.layer;
  Stretch stretch{.kind = Stretch::Kind::kCommit,
                  .rank = context_.self(),
                  .name = fmt::format("layer {}", layer.layer.value()),
                  .index = commit.layer,
                  .start = SteadyClock::now(),
                  .end = {}};
  context_.observer.begins(stretch);
  for (const std::vector<ExpertCopy>& pass : commit.passes) {
    const auto work = context_.member.memory->copy(memory_.copies(pass, set), CopyLane::kCommit);
    finish(*work, beside);
    layer.commit_device += work->device_time().value_or(Seconds(0.0));
  }
  layer.waves_committed = commit.wave + 1;
  if (commit.last_wave) layer.epoch += 1;
  stretch.end = SteadyClock::now();
  layer.commit += between(stretch.start, stretch.end);
  layer.committed_at = between(context_.start, stretch.end);
  context_.observer.ends(stretch);
  context_.reach(commit.layer, commit.wave, commit.last_wave, Phase::kCommitted);
}

void Committer::finish(Pending& work, const std::function<void()>& beside) {
  const auto go_on = [&] {
    try {
      beside();
    } catch (...) {
      trouble_ = std::current_exception();
    }
  };
  context_.waiter.to_the_end(
      [&] {
        if (beside && !trouble_) go_on();
        return work.poll();
      },
      context_.where, Deadline::in(context_.options.timeout));
}

}  // namespace moeshift
