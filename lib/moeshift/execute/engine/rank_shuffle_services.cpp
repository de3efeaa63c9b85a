// SPDX-License-Identifier: Apache-2.0
// The small services of RankShuffle: agreement, journal, drills, failures, spans.
#include <algorithm>
#include <csignal>
#include <thread>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/core/interrupted.hpp"
#include "moeshift/execute/engine/rank_shuffle.hpp"

namespace moeshift {
namespace {

/// How long a peer's word may take when its abort was felt first.
constexpr Seconds kGrace{0.1};

}  // namespace

std::vector<std::string> RankShuffle::gather(const std::string& mine, const WaitTopic& topic,
                                             Seconds allowance) {
  const auto gathering = member_.control->all_gather(mine);
  finish_gathering(*gathering, topic, allowance);
  return gathering->values();
}

void RankShuffle::finish_gathering(Gathering& gathering, const WaitTopic& topic,
                                   Seconds allowance) {
  waiter_.until(
      [&] {
        if (pipeline_) pipeline_->advance();
        return gathering.poll();
      },
      topic, Deadline::in(allowance), [&] { return gathering.waiting_for(); });
}

void RankShuffle::meet(const WaitTopic& topic, Seconds allowance) {
  static_cast<void>(gather({}, topic, allowance));
}

void RankShuffle::reach(std::size_t layer, std::size_t wave, Phase phase) {
  LayerOutcome& outcome = outcome_.layers[layer];
  outcome.phase = phase;
  if (options_.journal == nullptr) return;
  options_.journal->record({self(), label(layer), wave, phase, outcome.epoch});
}

void RankShuffle::tell(std::string_view what, std::size_t done, std::size_t total) const {
  if (options_.progress == nullptr || self() != RankId(0)) return;
  try {
    options_.progress->update(what, done, total);
  } catch (const InterruptedError&) {
    // The next wait sees it, and ends this rank in order.
  }
}

PipelineEvents RankShuffle::events() {
  PipelineEvents events;
  events.begins = [this](const Flight& flight) {
    const StagingUnit& unit = program().units[flight.unit];
    for (const LayerCommit& layer : unit.layers) reach(layer.layer, layer.wave, Phase::kStaging);
    staging_ranges_[flight.unit] = range_begin("stage " + name_of_unit(unit));
  };
  events.issued = [this](const Flight& flight) {
    drill(program().units[flight.unit], Phase::kStaging);
  };
  events.staged = [this](const Flight& flight) {
    const StagingUnit& unit = program().units[flight.unit];
    range_end(staging_ranges_[flight.unit]);
    // Layers that travel together share the time.
    const auto share = 1.0 / static_cast<double>(unit.layers.size());
    const Seconds host(std::chrono::duration<double>(*flight.staged - flight.started).count());
    for (const LayerCommit& layer : unit.layers) {
      reach(layer.layer, layer.wave, Phase::kStaged);
      outcome_.layers[layer.layer].stage += host * share;
      outcome_.layers[layer.layer].staged_at =
          Seconds(std::chrono::duration<double>(*flight.staged - start_).count());
      outcome_.layers[layer.layer].stage_device += flight.device * share;
    }
    span(flight.set % 2 == 0 ? "stage, even buffers" : "stage, odd buffers", name_of_unit(unit),
         flight.started, *flight.staged);
  };
  return events;
}

const FaultDrill* RankShuffle::drill_of(FaultDrill::Kind kind, const StagingUnit& unit) const {
  const FaultDrill* drill = find_drill(options_.drills, kind, self());
  if (drill == nullptr) return nullptr;
  for (const LayerCommit& layer : unit.layers) {
    if (label(layer.layer) == drill->layer) return drill;
  }
  return nullptr;
}

/// A drill at the vote waits until its unit is the next to be committed, although later ones may be
/// staged by then: what the others miss is then the vote on that unit, whoever is how fast.
std::size_t RankShuffle::announce() {
  const std::vector<StagingUnit>& units = program().units;
  while (announced_ < machine_.layers_staged()) {
    const bool next = announced_ == machine_.layers_committed();
    if (!next && is_drilled(units[announced_], Phase::kStaged)) break;
    drill(units[announced_++], Phase::kStaged);
  }
  return announced_;
}

bool RankShuffle::is_drilled(const StagingUnit& unit, Phase phase) const {
  return std::ranges::any_of(options_.drills, [&](const FaultDrill& drill) {
    return drill.phase == phase && drill_of(drill.kind, unit) == &drill;
  });
}

void RankShuffle::drill(const StagingUnit& unit, Phase phase) {
  using Kind = FaultDrill::Kind;
  const auto due = [&](Kind kind) -> const FaultDrill* {
    const FaultDrill* drill = drill_of(kind, unit);
    return drill != nullptr && drill->phase == phase ? drill : nullptr;
  };
  if (due(Kind::kKill) != nullptr) std::raise(SIGKILL);
  if (due(Kind::kError) != nullptr) throw DeviceError("transport error injected");
  if (due(Kind::kInterrupt) != nullptr) {
    throw ShuffleFailure({self(), where_.layer, where_.phase, "interrupted", true});
  }
  const FaultDrill* sleep = due(Kind::kSleep);
  if (sleep == nullptr) return;
  // Deaf as well, until the others have given up: then the process may end.
  const Deadline end = Deadline::in(sleep->duration);
  while (!end.expired() && !member_.control->failure()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

/// A transport that fails may only feel what a peer has broken; the peer tells everybody before it
/// aborts, so its word is here or on its way.
Failure RankShuffle::root_cause(Failure mine) const {
  for (const Deadline grace = Deadline::in(kGrace); !grace.expired();) {
    if (const auto told = member_.control->failure()) return located(*told, where_);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return mine;
}

void RankShuffle::fail(Failure failure) {
  machine_.abort();
  outcome_.failure = std::move(failure);
  member_.control->fail(*outcome_.failure);
  member_.transport->abort();
  pipeline_.reset();
  survey_after_failure();
}

/// Every layer is wholly old or wholly new: say which, having looked.
void RankShuffle::survey_after_failure() {
  if (memories_.empty() || where_.phase == Phase::kSetup) return;
  try {
    verify();
  } catch (const DeviceError&) {
    outcome_.slots_verified = 0;  // the device is gone, and with it what it held
  }
}

void RankShuffle::span(const char* track, const std::string& name, SteadyClock::time_point start,
                       SteadyClock::time_point end) {
  const auto seconds = [](SteadyClock::duration d) {
    return Seconds(std::chrono::duration<double>(d).count());
  };
  Timeline& timeline = outcome_.timeline;
  timeline.spans.push_back({timeline.track(fmt::format("rank {}", self().value()), track),
                            name,
                            std::string(track).substr(0, std::string(track).find(',')),
                            seconds(start - start_),
                            seconds(end - start),
                            {}});
}

std::uint64_t RankShuffle::range_begin(const std::string& name) const {
  return member_.range_begin ? member_.range_begin(name) : 0;
}

void RankShuffle::range_end(std::uint64_t range) const {
  if (member_.range_end) member_.range_end(range);
}

WaitTopic RankShuffle::topic(const StagingUnit& unit, Phase phase, const char* wanted) const {
  return {label(unit.layers.front().layer), phase, wanted};
}

std::string RankShuffle::name_of_unit(const StagingUnit& unit) const {
  const LayerCommit& first = unit.layers.front();
  const LayerCommit& last = unit.layers.back();
  if (unit.layers.size() > 1) {
    return fmt::format("layers {}-{}", label(first.layer).value(), label(last.layer).value());
  }
  if (first.wave == 0 && first.last_wave)
    return fmt::format("layer {}", label(first.layer).value());
  return fmt::format("layer {} wave {}", label(first.layer).value(), first.wave);
}

}  // namespace moeshift
