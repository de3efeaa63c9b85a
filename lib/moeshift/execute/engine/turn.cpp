// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/engine/turn.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

/// @throws DeviceError: a peer that says anything else is no peer.
std::size_t units_in(const std::string& vote) {
  std::size_t units = 0;
  const auto [end, error] = std::from_chars(vote.data(), vote.data() + vote.size(), units);
  if (error == std::errc{} && end == vote.data() + vote.size()) return units;
  throw DeviceError("a peer's vote is not a number");
}

RearrangementLimits limits_of(const ShuffleOptions& options) {
  const bool beside_steps =
      options.mode == ShuffleMode::kAsync && options.foreground != ForegroundKind::kNone;
  return {.buffers = options.buffers,
          .staged_at_once = options.buffers,
          .commits_per_step = beside_steps ? options.commits_per_step : 0};
}

/// Between whose steps units go live.
const Foreground* serving(const ShuffleOptions& options, const Foreground* foreground) {
  return options.mode == ShuffleMode::kSync ? nullptr : foreground;
}

}  // namespace

Turn::Turn(RankContext& context, const ShuffleJob& job, const RankProgram& program,
           const RankMemory& memory, Foreground* foreground)
    : context_(context),
      job_(job),
      program_(program),
      memory_(memory),
      foreground_(foreground),
      machine_(limits_of(context.options)),
      pipeline_(context.member, program, memory, context.options, machine_, events()),
      committer_(context, job, program, memory, serving(context.options, foreground)) {}

void Turn::run() {
  const ShuffleOptions& options = context_.options;
  RankTimes& times = context_.outcome.times;
  depart();
  keep_unchanged_layers();
  machine_.begin();
  machine_.planned(program_.units.size());
  Seconds stalled{0.0};
  std::size_t share = 0;
  while (!machine_.idle()) {
    // A share is moved to its end before the next one is measured out.
    if (machine_.layers_committed() >= share) share = allowed_until();
    machine_.allow(share);
    Vote vote;
    if (options.mode == ShuffleMode::kAsync && foreground_ != nullptr) {
      vote = voting_step(stalled);
    } else {
      stage_front();
      vote = cast_vote();
    }
    const SteadyClock::time_point boundary = SteadyClock::now();
    commit_until(count(vote));
    if (options.lockstep) {
      meet({.phase = Phase::kCommitted, .wanted = "commit"});
    }
    stalled = since(boundary);
    times.exposed += stalled;
    const bool layered = options.mode == ShuffleMode::kLayered && foreground_ != nullptr;
    if (layered && machine_.layers_committed() == share) foreground_step(stalled);
  }
  times.exposed += committer_.finish();
  meet({.phase = Phase::kCommitted, .wanted = "last commit"});
  times.total = since(context_.start);
  if (options.mode == ShuffleMode::kSync) times.exposed = times.total;
}

void Turn::depart() const {
  Departure departure{.rank = context_.self(), .units = {}, .live_slot = {}};
  for (const StagingUnit& unit : program_.units) {
    std::vector<LayerId>& layers = departure.units.emplace_back();
    for (const LayerCommit& commit : unit.layers) {
      layers.push_back(job_.plan->layers[commit.layer].layer);
    }
  }
  departure.live_slot = [this](LayerId layer, std::size_t slot) {
    const auto moves = std::ranges::find(job_.plan->layers, layer, &LayerMoves::layer);
    const auto index = static_cast<std::size_t>(moves - job_.plan->layers.begin());
    return memory_.live_slot(index, slot);
  };
  context_.observer.departs(departure);
}

void Turn::keep_unchanged_layers() const {
  for (std::size_t layer = 0; layer < job_.plan->layers.size(); ++layer) {
    if (!job_.plan->layers[layer].waves.empty()) continue;
    context_.outcome.layers[layer].phase = Phase::kCommitted;
  }
}

/// The unit after the last one that may be staged now.
std::size_t Turn::allowed_until() const {
  const std::size_t done = machine_.layers_committed();
  if (context_.options.lockstep) return done + 1;
  if (context_.options.mode != ShuffleMode::kLayered) return program_.units.size();
  std::size_t unit = done;
  std::size_t layers = 0;
  while (unit < program_.units.size() && layers < context_.options.layers_per_step) {
    layers += program_.units[unit++].layers.size();
  }
  return unit;
}

void Turn::stage_front() {
  const SteadyClock::time_point begin = SteadyClock::now();
  context_.where = topic(front(), Phase::kStaging, "experts");
  context_.waiter.until(
      [&] {
        pipeline_.advance();
        return machine_.ready() > 0;
      },
      context_.where, Deadline::in(context_.options.timeout),
      [&] { return pipeline_.waiting_for(); });
  if (context_.options.mode == ShuffleMode::kLayered) {
    context_.outcome.times.exposed += since(begin);
  }
}

/// Says how many units are staged here.
Turn::Vote Turn::cast_vote() {
  context_.where = topic(front(), Phase::kStaged, "vote");
  voted_ = machine_.layers_staged();
  context_.observer.votes(context_.self(), machine_.layers_committed(), voted_);
  const SteadyClock::time_point now = SteadyClock::now();
  return {context_.member.control->all_gather(std::to_string(voted_)), now};
}

/// How many units were staged on every rank when each cast its vote.
std::size_t Turn::count(const Vote& vote) {
  if (vote.counted) return *vote.counted;
  // A vote is awaited a little longer than experts are, so that who starves speaks up first.
  context_.waiter.until(
      [&] {
        // The model may stand still until the votes are counted: nothing is begun once they are
        // here.
        if (vote.said->poll()) return true;
        pipeline_.advance();
        return false;
      },
      context_.where, Deadline::in(context_.options.timeout * 1.1),
      [&] { return vote.said->waiting_for(); });
  std::size_t everywhere = program_.units.size();
  for (const std::string& value : vote.said->values()) {
    everywhere = std::min(everywhere, units_in(value));
  }
  context_.observer.ends({.kind = Stretch::Kind::kVote,
                          .rank = context_.self(),
                          .name = name_of(front(), job_),
                          .index = machine_.layers_committed(),
                          .start = vote.cast,
                          .end = SteadyClock::now()});
  return std::max(everywhere, machine_.layers_committed());
}

void Turn::commit_until(std::size_t units) {
  for (std::size_t left = machine_.vote(units - machine_.layers_committed()); left > 0; --left) {
    committer_.commit(pipeline_.front(), [this] { pipeline_.advance(); });
    pipeline_.pop();
    machine_.committed();
    const std::size_t next = machine_.layers_committed();
    context_.observer.progressed(context_.self(), "moving experts (batches)", next,
                                 program_.units.size());
    if (next == program_.units.size() || !front().follows_wave) continue;
    meet(topic(front(), Phase::kCommitted, "commit"));
    pipeline_.committed_everywhere(next);
  }
}

/// All ranks are here; later units go on meanwhile.
void Turn::meet(const WaitTopic& topic) {
  const auto here = context_.member.control->all_gather({});
  context_.waiter.until(
      [&] {
        pipeline_.advance();
        return here->poll();
      },
      topic, Deadline::in(context_.options.timeout), [&] { return here->waiting_for(); });
}

void Turn::settle() {
  static_cast<void>(committer_.finish());
  for (std::size_t unit = machine_.layers_committed(); unit < voted_; ++unit) {
    if (!committer_.settle(pipeline_.front())) return;
    pipeline_.pop();
  }
}

/// A step beside which units are staged. The vote is cast in it, as soon as there is something to
/// vote for: when the step ends everybody's is here, and the model does not wait for it.
Turn::Vote Turn::voting_step(Seconds stalled) {
  const SteadyClock::time_point begin = SteadyClock::now();
  std::optional<Vote> vote;
  foreground_step(stalled, [&] {
    pipeline_.advance();
    const bool late = since(begin) > context_.options.foreground_step * 0.5;
    if (!vote && (machine_.ready() > 0 || late)) vote = cast_vote();
    if (vote && !vote->counted && vote->said->poll()) {
      vote->counted = count(*vote);
      go_ahead(*vote->counted);
    }
  });
  return vote ? std::move(*vote) : cast_vote();
}

/// What goes live after this step is known before it ends, so that the model need not wait for it.
void Turn::go_ahead(std::size_t units) {
  const std::size_t first = machine_.layers_committed();
  const std::size_t most = limits_of(context_.options).commits_per_step;
  const std::size_t end = most == 0 ? units : std::min(units, first + most);
  for (std::size_t unit = first; unit < end; ++unit) {
    // A later wave waits until every rank has committed the one before.
    if (unit > first && program_.units[unit].follows_wave) return;
    if (!committer_.go_ahead(pipeline_.flight(unit - first))) return;
  }
}

void Turn::foreground_step(Seconds stalled, const std::function<void()>& beside) {
  const auto step = foreground_->start_step();
  Seconds changing;
  context_.waiter.until(
      [&] {
        changing += committer_.catch_up();
        if (beside) beside();
        return step->poll();
      },
      {.layer = context_.where.layer, .phase = Phase::kStaging, .wanted = "foreground step"},
      Deadline::in(context_.options.timeout), [&] { return step->waiting_for(); });
  context_.outcome.times.exposed += changing;
  context_.outcome.disturbed.push_back(foreground_->last_step() + stalled + changing);
}

PipelineEvents Turn::events() {
  PipelineEvents events;
  events.begins = [this](const Flight& flight) {
    for (const LayerCommit& layer : program_.units[flight.unit].layers) {
      context_.reach(layer.layer, layer.wave, layer.last_wave, Phase::kStaging);
    }
    context_.observer.begins(staging_of(flight));
  };
  events.issues = [this](const Flight& flight) {
    context_.observer.issues(context_.self(), flight.unit);
  };
  events.staged = [this](const Flight& flight) { staged(flight); };
  return events;
}

void Turn::staged(const Flight& flight) {
  Stretch stretch = staging_of(flight);
  stretch.end = *flight.staged;
  context_.observer.ends(stretch);
  const auto seconds = [](SteadyClock::duration duration) {
    return Seconds(std::chrono::duration<double>(duration).count());
  };
  const StagingUnit& unit = program_.units[flight.unit];
  // Layers that travel together share the time.
  const auto share = 1.0 / static_cast<double>(unit.layers.size());
  for (const LayerCommit& layer : unit.layers) {
    context_.reach(layer.layer, layer.wave, layer.last_wave, Phase::kStaged);
    LayerOutcome& outcome = context_.outcome.layers[layer.layer];
    outcome.stage += seconds(*flight.staged - flight.started) * share;
    outcome.staged_at = seconds(*flight.staged - context_.start);
    outcome.stage_device += flight.device * share;
  }
}

Stretch Turn::staging_of(const Flight& flight) const {
  return {.kind = Stretch::Kind::kStage,
          .rank = context_.self(),
          .name = name_of(program_.units[flight.unit], job_),
          .index = flight.unit,
          .set = flight.set,
          .start = flight.started,
          .end = {}};
}

std::optional<WaitTopic> Turn::staging() const {
  const std::optional<std::size_t> unit = pipeline_.busy_with();
  if (!unit) return std::nullopt;
  return topic(program_.units[*unit], Phase::kStaging, "experts");
}

const StagingUnit& Turn::front() const {
  return program_.units[machine_.layers_committed()];
}

WaitTopic Turn::topic(const StagingUnit& unit, Phase phase, const char* wanted) const {
  return {job_.plan->layers[unit.layers.front().layer].layer, phase, wanted};
}

}  // namespace moeshift
