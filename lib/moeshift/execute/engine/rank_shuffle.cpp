// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/engine/rank_shuffle.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/execute/engine/baseline.hpp"

namespace moeshift {
namespace {

std::size_t number_of(const std::string& text) {
  std::size_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

MessageRules rules_of(const Member& member, const ShuffleOptions& options) {
  const TransportTraits traits = member.transport->traits();
  return {.pack_below = options.pack_below.value_or(traits.pack_below),
          .messages_per_pair = traits.messages_per_pair};
}

/// 0 = as many as are ready.
std::size_t commits_at_once(const ShuffleOptions& options) {
  const bool beside_steps =
      options.mode == ShuffleMode::kAsync && options.foreground != ForegroundKind::kNone;
  return beside_steps ? options.commits_per_step : 0;
}

}  // namespace

RankShuffle::RankShuffle(Member& member, const ShuffleJob& job, const ShuffleOptions& options)
    : member_(member),
      jobs_{&job},
      options_(options),
      waiter_(member, options.interrupted),
      rules_(rules_of(member, options)),
      machine_({.buffers = options.buffers,
                .staged_at_once = options.buffers,
                .commits_per_step = commits_at_once(options)}),
      start_(SteadyClock::now()) {
  if (job.back != nullptr) jobs_.push_back(job.back);
  for (const ShuffleJob* each : jobs_) {
    programs_.push_back(make_rank_program(*each->plan, self(), each->layout, rules_));
  }
  programs_.front().reserve_for(programs_.back());
  programs_.back().reserve_for(programs_.front());
  outcome_.rank = self();
  outcome_.memory = program().memory(options.buffers);
  outcome_.facts = member.facts;
  for (const LayerMoves& moves : job.plan->layers) outcome_.layers.push_back({moves.layer});
}

RankOutcome RankShuffle::run() {
  try {
    prepare();
    for (std::size_t repetition = 0; repetition < options_.repeat; ++repetition) {
      if (repetition > 0) begin_again();
      perform();
      verify();
    }
    compare_with_baseline();
  } catch (const ShuffleFailure& failure) {
    fail(failure.failure());
  } catch (const InfeasibleError& error) {
    outcome_.infeasible = true;
    fail({self(), where_.layer, where_.phase, error.what()});
  } catch (const DeviceError& error) {
    if (pipeline_ && pipeline_->busy_with()) {
      where_ = topic(program().units[*pipeline_->busy_with()], Phase::kStaging, "experts");
    }
    fail(root_cause({self(), where_.layer, where_.phase, error.what()}));
  }
  if (options_.journal != nullptr) {
    options_.journal->end(self(), outcome_.failure ? outcome_.failure->message() : "complete");
  }
  return std::move(outcome_);
}

/// The next repetition starts where the one before has ended, and goes the other way.
void RankShuffle::begin_again() {
  turn_ = (turn_ + 1) % jobs_.size();
  announced_ = 0;
  where_ = {};
  outcome_.layers.clear();
  for (const LayerMoves& moves : job().plan->layers) outcome_.layers.push_back({moves.layer});
  outcome_.timeline = {};
  outcome_.times.exposed = Seconds(0.0);
  meet({.wanted = "next repetition"}, options_.timeout);
  start_ = SteadyClock::now();
}

void RankShuffle::perform() {
  keep_unchanged_layers();
  machine_.begin();
  machine_.planned(program().units.size());
  pipeline_.emplace(member_, program(), memory(), options_, machine_, events());
  for (std::size_t unit = 0; unit < program().units.size(); ++unit) {
    if (drill_of(FaultDrill::Kind::kLose, program().units[unit]) != nullptr)
      pipeline_->mute_from(unit);
  }
  Seconds stalled{0.0};
  while (!machine_.idle()) {
    const bool layered = options_.mode == ShuffleMode::kLayered;
    const std::size_t done = machine_.layers_committed();
    const std::size_t share = options_.lockstep ? done + 1
                              : layered         ? share_end(done)
                                                : program().units.size();
    machine_.allow(share);
    Ballot ballot;
    if (options_.mode == ShuffleMode::kAsync && foreground_) {
      ballot = voting_step(stalled);
    } else {
      stage_front();
      ballot = cast_vote();
    }
    const SteadyClock::time_point boundary = SteadyClock::now();
    commit_until(count_votes(ballot));
    if (options_.lockstep) {
      meet({.phase = Phase::kCommitted, .wanted = "commit"}, options_.timeout);
    }
    stalled = since(boundary);
    outcome_.times.exposed += stalled;
    if (layered && foreground_ && machine_.layers_committed() == share) foreground_step(stalled);
  }
  meet({.phase = Phase::kCommitted, .wanted = "last commit"}, options_.timeout);
  outcome_.times.total = since(start_);
  outcome_.totals.push_back(outcome_.times.total);
  if (options_.mode == ShuffleMode::kSync) outcome_.times.exposed = outcome_.times.total;
}

/// The unit after the last one that may be staged before the model's next step.
std::size_t RankShuffle::share_end(std::size_t unit) const {
  std::size_t layers = 0;
  while (unit < program().units.size() && layers < options_.layers_per_step) {
    layers += program().units[unit++].layers.size();
  }
  return unit;
}

void RankShuffle::keep_unchanged_layers() {
  for (std::size_t layer = 0; layer < job().plan->layers.size(); ++layer) {
    if (job().plan->layers[layer].waves.empty()) outcome_.layers[layer].phase = Phase::kCommitted;
  }
}

void RankShuffle::stage_front() {
  const SteadyClock::time_point begin = SteadyClock::now();
  where_ = topic(front(), Phase::kStaging, "experts");
  waiter_.until(
      [&] {
        pipeline_->advance();
        return machine_.ready() > 0;
      },
      where_, Deadline::in(options_.timeout), [&] { return pipeline_->waiting_for(); });
  if (options_.mode == ShuffleMode::kLayered) outcome_.times.exposed += since(begin);
}

/// Says how many units are staged here.
RankShuffle::Ballot RankShuffle::cast_vote() {
  where_ = topic(front(), Phase::kStaged, "vote");
  const std::size_t mine = announce();
  const SteadyClock::time_point now = SteadyClock::now();
  return {member_.control->all_gather(std::to_string(mine)), now};
}

/// How many units were staged on every rank when each cast its vote.
std::size_t RankShuffle::count_votes(const Ballot& ballot) {
  // A vote is awaited a little longer than experts are, so that who starves speaks up first.
  finish_gathering(*ballot.said, where_, options_.timeout * 1.1);
  std::size_t everywhere = program().units.size();
  for (const std::string& value : ballot.said->values()) {
    everywhere = std::min(everywhere, number_of(value));
  }
  span("vote", name_of_unit(front()), ballot.cast, SteadyClock::now());
  return everywhere;
}

void RankShuffle::commit_until(std::size_t units) {
  for (std::size_t left = machine_.vote(units - machine_.layers_committed()); left > 0; --left) {
    commit(pipeline_->front());
    pipeline_->pop();
    machine_.committed();
    const std::size_t next = machine_.layers_committed();
    tell("moving experts (batches)", next, program().units.size());
    if (next == program().units.size() || !front().follows_wave) continue;
    meet(topic(front(), Phase::kCommitted, "commit"), options_.timeout);
    pipeline_->committed_everywhere(next);
  }
}

void RankShuffle::commit(const Flight& flight) {
  const StagingUnit& unit = program().units[flight.unit];
  where_ = topic(unit, Phase::kVoted, "commit");
  const SteadyClock::time_point voted = SteadyClock::now();
  for (const LayerCommit& layer : unit.layers) {
    outcome_.layers[layer.layer].vote +=
        Seconds(std::chrono::duration<double>(voted - *flight.staged).count());
    reach(layer.layer, layer.wave, Phase::kVoted);
  }
  for (const LayerCommit& layer : unit.layers) commit_layer(layer, flight.set);
}

void RankShuffle::commit_layer(const LayerCommit& commit, std::size_t set) {
  const SteadyClock::time_point begin = SteadyClock::now();
  where_.layer = label(commit.layer);
  const std::string name = fmt::format("layer {}", where_.layer->value());
  const std::uint64_t range = range_begin("commit " + name);
  for (const std::vector<ExpertCopy>& pass : commit.passes) {
    const auto work = member_.memory->copy(memory().copies(pass, set), CopyLane::kCommit);
    drill(front(), Phase::kVoted);
    finish_commit(*work);
    outcome_.layers[commit.layer].commit_device += work->device_time().value_or(Seconds(0.0));
  }
  range_end(range);
  LayerOutcome& layer = outcome_.layers[commit.layer];
  layer.waves_committed = commit.wave + 1;
  if (commit.last_wave) layer.epoch += 1;
  layer.commit += since(begin);
  layer.committed_at = since(start_);
  reach(commit.layer, commit.wave, Phase::kCommitted);
  const FaultDrill* corrupt = find_drill(options_.drills, FaultDrill::Kind::kCorrupt, self());
  if (corrupt != nullptr && corrupt->layer == label(commit.layer)) {
    member_.memory->corrupt(memory().live_slot(commit.layer, corrupt->slot));
  }
  span("commit", name, begin, SteadyClock::now());
  if (trouble_) std::rethrow_exception(std::exchange(trouble_, nullptr));
}

/// Later units go on meanwhile; should they fail, this layer is brought to its end first.
void RankShuffle::finish_commit(Pending& work) {
  const auto advance = [&] {
    try {
      pipeline_->advance();
    } catch (...) {
      trouble_ = std::current_exception();
    }
  };
  waiter_.to_the_end(
      [&] {
        if (!trouble_) advance();
        return work.poll();
      },
      where_, Deadline::in(options_.timeout));
}

/// A step beside which units are staged. The vote is cast in it, as soon as there is something to
/// vote for: when the step ends everybody's is here, and the model does not wait for it.
RankShuffle::Ballot RankShuffle::voting_step(Seconds stalled) {
  const SteadyClock::time_point begin = SteadyClock::now();
  std::optional<Ballot> ballot;
  foreground_step(stalled, [&] {
    pipeline_->advance();
    const bool late = since(begin) > options_.foreground_step * 0.5;
    if (!ballot && (machine_.ready() > 0 || late)) ballot = cast_vote();
  });
  return ballot ? std::move(*ballot) : cast_vote();
}

void RankShuffle::foreground_step(Seconds stalled, const std::function<void()>& beside) {
  const auto step = foreground_->start_step();
  waiter_.until(
      [&] {
        if (beside) beside();
        return step->poll();
      },
      {.layer = where_.layer, .phase = Phase::kStaging, .wanted = "foreground step"},
      Deadline::in(options_.timeout), [&] { return step->waiting_for(); });
  outcome_.disturbed.push_back(foreground_->last_step() + stalled);
}

void RankShuffle::verify() {
  if (!options_.verify) return;
  const SteadyClock::time_point begin = SteadyClock::now();
  for (std::size_t layer = 0; layer < job().plan->layers.size(); ++layer) {
    const SteadyClock::time_point started = SteadyClock::now();
    where_ = {.layer = label(layer), .phase = Phase::kCommitted, .wanted = "verification"};
    const std::uint64_t range = range_begin(fmt::format("verify layer {}", where_.layer->value()));
    const std::size_t waves = outcome_.layers[layer].waves_committed;
    for (const auto& [layout, tasks] : memory().tasks(layer, waves)) {
      const auto work = member_.memory->verify(tasks, *layout);
      waiter_.to_the_end(*work, where_, Deadline::in(options_.timeout));
      outcome_.slots_verified += tasks.size();
      for (const Mismatch& mismatch : work->mismatches()) {
        const PatternTask& task = tasks[mismatch.task];
        outcome_.faults.push_back({self(), label(layer), memory().slot_at(layer, task.slot),
                                   task.key.expert, mismatch.wrong_bytes, mismatch.first_offset});
      }
    }
    tell("comparing every byte (layers)", layer + 1, job().plan->layers.size());
    range_end(range);
    if (!outcome_.failure) reach(layer, std::max<std::size_t>(waves, 1) - 1, Phase::kVerified);
    span("verify", fmt::format("layer {}", label(layer).value()), started, SteadyClock::now());
  }
  outcome_.times.verify = since(begin);
}

void RankShuffle::compare_with_baseline() {
  if (!options_.baseline) return;
  const TransferTotals totals = totals_of(*job().plan);
  const Bytes sent = totals.bytes_by_link[static_cast<std::size_t>(LinkClass::kIntraNode)] +
                     totals.bytes_by_link[static_cast<std::size_t>(LinkClass::kInterNode)] +
                     totals.bytes_by_link[static_cast<std::size_t>(LinkClass::kInterRack)];
  const auto ranks = static_cast<std::int64_t>(member_.control->size());
  where_ = {.phase = Phase::kVerified, .wanted = "baseline"};
  outcome_.baseline =
      measure_baseline(member_, waiter_, memory().live(), Bytes(sent.count() / ranks),
                       std::max<std::size_t>(program().units.size(), 1),
                       job().plan->sizes.largest(), options_.timeout);
}

}  // namespace moeshift
