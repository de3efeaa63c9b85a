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
  const auto ahead = std::ranges::find(gone_, flight.unit, &Gone::unit);
  if (ahead != gone_.end()) {
    ahead->went(SteadyClock::now());
    return;
  }
  agree(program_.units[flight.unit]);
  go_live(flight, beside);
}

bool Committer::go_ahead(const Flight& flight) {
  const StagingUnit& unit = program_.units[flight.unit];
  if (!fits_between_steps(unit)) return false;
  agree(unit);
  put_between_steps(flight, voted_for(flight));
  return true;
}

/// Copies are waited for: what they read may be overwritten as soon as the engine goes on.
bool Committer::fits_between_steps(const StagingUnit& unit) const {
  if (!memory_.flips() || model_ == nullptr || model_->stream() == nullptr) return false;
  return std::ranges::none_of(
      unit.layers, [&](const LayerCommit& commit) { return memory_.flip_copies(commit); });
}

void Committer::agree(const StagingUnit& unit) {
  context_.where = {job_.plan->layers[unit.layers.front().layer].layer, Phase::kVoted, "commit"};
  if (decide(unit, Verdict::kCommit) == Verdict::kCommit) return;
  throw ShuffleFailure({context_.self(), context_.where.layer, Phase::kVoted,
                        "a peer gave up before it knew that all had voted"});
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
  const std::vector<const LayerCommit*> commits = voted_for(flight);
  if (!commits.empty()) {
    context_.where.layer = job_.plan->layers[commits.front()->layer].layer;
    if (fits_between_steps(program_.units[flight.unit])) {
      const SteadyClock::time_point start = SteadyClock::now();
      put_between_steps(flight, commits).went(start);
    } else {
      commit_together(commits, flight, beside);
    }
  }
  if (trouble_) std::rethrow_exception(std::exchange(trouble_, nullptr));
}

std::vector<const LayerCommit*> Committer::voted_for(const Flight& flight) {
  const StagingUnit& unit = program_.units[flight.unit];
  const SteadyClock::time_point voted = SteadyClock::now();
  tell_all();
  for (const LayerCommit& layer : unit.layers) {
    context_.outcome.layers[layer.layer].vote += between(*flight.staged, voted);
    context_.reach(layer.layer, layer.wave, layer.last_wave, Phase::kVoted);
  }
  std::vector<const LayerCommit*> commits;
  for (const LayerCommit& layer : unit.layers) {
    const bool live = context_.outcome.layers[layer.layer].waves_committed > layer.wave;
    if (!live) commits.push_back(&layer);
  }
  return commits;
}

Committer::Gone& Committer::put_between_steps(const Flight& flight,
                                              const std::vector<const LayerCommit*>& commits) {
  const SlotTable::Flip flip = all_of(commits, flight.set);
  auto change = context_.member.memory->point(memory_.pointers(), flip.changes, model_->stream());
  return gone_.emplace_back(
      Gone{.unit = flight.unit, .commits = commits, .change = std::move(change)});
}

void Committer::commit_together(const std::vector<const LayerCommit*>& commits,
                                const Flight& flight, const std::function<void()>& beside) {
  std::vector<Stretch> stretches = stretches_of(commits, SteadyClock::now());
  const Seconds device = memory_.flips()
                             ? flip(all_of(commits, flight.set), lane_of(flight), beside)
                             : copy(commits, flight, beside);
  tell(commits, stretches, SteadyClock::now());
  add_device_time(commits, device);
}

/// What the engine says before it commits.
std::vector<Stretch> Committer::stretches_of(const std::vector<const LayerCommit*>& commits,
                                             SteadyClock::time_point start) const {
  std::vector<Stretch> stretches;
  for (const LayerCommit* commit : commits) {
    const LayerId label = job_.plan->layers[commit->layer].layer;
    stretches.push_back({.kind = Stretch::Kind::kCommit,
                         .rank = context_.self(),
                         .name = fmt::format("layer {}", label.value()),
                         .index = commit->layer,
                         .start = start,
                         .end = {}});
    context_.observer.begins(stretches.back());
  }
  return stretches;
}

/// What it says afterwards. Layers that go live together share the time.
void Committer::tell(const std::vector<const LayerCommit*>& commits, std::span<Stretch> stretches,
                     SteadyClock::time_point end) const {
  const double share = 1.0 / static_cast<double>(commits.size());
  for (std::size_t i = 0; i < commits.size(); ++i) {
    const LayerCommit& commit = *commits[i];
    LayerOutcome& layer = context_.outcome.layers[commit.layer];
    context_.where.layer = layer.layer;
    layer.waves_committed = commit.wave + 1;
    if (commit.last_wave) layer.epoch += 1;
    stretches[i].end = end;
    layer.commit += between(stretches[i].start, end) * share;
    layer.committed_at = between(context_.start, end);
    context_.observer.ends(stretches[i]);
    context_.reach(commit.layer, commit.wave, commit.last_wave, Phase::kCommitted);
  }
}

void Committer::add_device_time(const std::vector<const LayerCommit*>& commits,
                                Seconds time) const {
  const double share = 1.0 / static_cast<double>(commits.size());
  for (const LayerCommit* commit : commits) {
    context_.outcome.layers[commit->layer].commit_device += time * share;
  }
}

void Committer::tell_all() {
  for (Gone& gone : gone_) {
    if (!gone.start || std::exchange(gone.told, true)) continue;
    std::vector<Stretch> stretches = stretches_of(gone.commits, *gone.start);
    tell(gone.commits, stretches, gone.end);
  }
}

Seconds Committer::catch_up() {
  tell_all();
  Seconds device;
  while (!gone_.empty() && gone_.front().told && gone_.front().change->poll()) {
    const Seconds time = gone_.front().change->device_time().value_or(Seconds(0.0));
    add_device_time(gone_.front().commits, time);
    device += time;
    gone_.pop_front();
  }
  return device;
}

Seconds Committer::finish() {
  Seconds device;
  context_.waiter.to_the_end(
      [&] {
        // After a failure some went ahead and never got to their commit.
        for (Gone& gone : gone_) {
          if (!gone.start) gone.went(SteadyClock::now());
        }
        device += catch_up();
        return gone_.empty();
      },
      context_.where, Deadline::in(context_.options.timeout));
  return device;
}

CopyLane Committer::lane_of(const Flight& flight) const {
  const ShuffleOptions& options = context_.options;
  const bool alone =
      flight.unit + 1 == program_.units.size() || options.buffers == 1 || options.lockstep;
  return alone || model_ != nullptr ? CopyLane::kCommitAwaited : CopyLane::kCommit;
}

/// Pass by pass, the same pass of all layers together: a small layer costs no launch of its own.
Seconds Committer::copy(const std::vector<const LayerCommit*>& commits, const Flight& flight,
                        const std::function<void()>& beside) {
  Seconds device;
  std::size_t passes = 0;
  for (const LayerCommit* commit : commits) passes = std::max(passes, commit->passes.size());
  for (std::size_t pass = 0; pass < passes; ++pass) {
    std::vector<CopyRequest> copies;
    for (const LayerCommit* commit : commits) {
      if (pass >= commit->passes.size()) continue;
      std::ranges::copy(memory_.copies(commit->passes[pass], flight.set),
                        std::back_inserter(copies));
    }
    const auto work = context_.member.memory->copy(copies, lane_of(flight));
    device += finish(*work, beside);
  }
  return device;
}

SlotTable::Flip Committer::all_of(const std::vector<const LayerCommit*>& commits,
                                  std::size_t set) const {
  SlotTable::Flip all;
  for (const LayerCommit* commit : commits) {
    SlotTable::Flip flip = memory_.flip(*commit, set);
    std::ranges::move(flip.copies, std::back_inserter(all.copies));
    std::ranges::move(flip.changes, std::back_inserter(all.changes));
  }
  return all;
}

Seconds Committer::flip(const SlotTable::Flip& all, CopyLane lane,
                        const std::function<void()>& beside) {
  DeviceMemory& memory = *context_.member.memory;
  Seconds device;
  const auto copies = all.copies.empty() ? nullptr : memory.copy(all.copies, lane);
  // The host does not come between the two: a way there and back takes as long as either.
  const auto change = memory.point(memory_.pointers(), all.changes, nullptr);
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
