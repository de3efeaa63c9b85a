// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/engine/rank_shuffle.hpp"

#include <algorithm>
#include <thread>
#include <utility>

#include "moeshift/core/error.hpp"
#include "moeshift/execute/engine/baseline.hpp"
#include "moeshift/execute/engine/setup.hpp"
#include "moeshift/execute/engine/survey.hpp"

namespace moeshift {
namespace {

/// How long a peer's word may take when its abort was felt first.
constexpr Seconds kGrace{0.1};

MessageRules rules_of(const Member& member, const ShuffleJob& job, const ShuffleOptions& options) {
  const TransportTraits traits = member.transport->traits();
  MessageRules rules{.pack_below = options.pack_below.value_or(traits.pack_below),
                     .gather_first = traits.gather_first,
                     .one_by_one = options.buffers == 1 || options.lockstep,
                     .messages_per_pair = traits.messages_per_pair,
                     .islands = traits.islands,
                     .messages_inside = traits.messages_inside,
                     .cells = options.commit == CommitKind::kFlip};
  suit_weights(rules, job, options);
  return rules;
}

std::vector<LayerOutcome> untouched(const TransferPlan& plan) {
  std::vector<LayerOutcome> layers;
  for (const LayerMoves& moves : plan.layers) layers.push_back({moves.layer});
  return layers;
}

}  // namespace

RankShuffle::RankShuffle(Member& member, const ShuffleJob& job, const ShuffleOptions& options)
    : options_(options),
      jobs_{&job},
      rules_(rules_of(member, job, options)),
      context_{member, options, observers_, outcome_, Waiter(member, options.interrupted)},
      timeline_(outcome_.timeline, context_.start),
      profiler_(member) {
  check_weights(job, options);
  if (options.weights != nullptr) fingerprints_.emplace(*options.weights);
  for (const ShuffleJob* next = job.back; next != nullptr; next = next->back) jobs_.push_back(next);
  const RankId self = member.control->self();
  for (const ShuffleJob* each : jobs_) {
    programs_.push_back(make_rank_program(*each->plan, self, each->layout, rules_));
  }
  for (RankProgram& program : programs_) {
    for (const RankProgram& other : programs_) program.reserve_for(other);
  }
  outcome_.rank = self;
  outcome_.memory = programs_.front().memory(options.buffers);
  if (options.weights != nullptr) outcome_.memory = outcome_.memory - programs_.front().live;
  outcome_.facts = member.facts;
  outcome_.layers = untouched(*job.plan);
  observers_.add(timeline_);
  observers_.add(profiler_);
  for (ShuffleObserver* observer : options.observers) observers_.add(*observer);
  for (const auto& observer : member.observers) observers_.add(*observer);
}

RankOutcome RankShuffle::run() {
  try {
    foreground_ = Setup(context_, jobs_, programs_, rules_).run(memories_, fingerprints());
    for (std::size_t repetition = 0; repetition < options_.repeat; ++repetition) {
      if (repetition > 0) begin_again();
      perform();
    }
    compare_with_baseline();
  } catch (const ShuffleFailure& failure) {
    fail(failure.failure());
  } catch (const InfeasibleError& error) {
    outcome_.infeasible = true;
    fail({context_.self(), context_.where.layer, context_.where.phase, error.what()});
  } catch (const DeviceError& error) {
    if (turn_) context_.where = turn_->staging().value_or(context_.where);
    fail(root_cause({context_.self(), context_.where.layer, context_.where.phase, error.what()}));
  }
  observers_.ended(context_.self(), outcome_.failure);
  return std::move(outcome_);
}

void RankShuffle::perform() {
  context_.start = SteadyClock::now();
  turn_.emplace(context_, job(), programs_[way_], memories_[way_], foreground_.get());
  turn_->run();
  outcome_.totals.push_back(outcome_.times.total);
  if (options_.verify) compare_every_byte(context_, job(), memories_[way_], fingerprints());
}

/// The next repetition starts where the one before has ended, and goes the other way.
void RankShuffle::begin_again() {
  turn_.reset();
  way_ = (way_ + 1) % jobs_.size();
  context_.where = {};
  outcome_.layers = untouched(*job().plan);
  outcome_.timeline = {};
  outcome_.times.exposed = Seconds(0.0);
  context_.meet({.wanted = "next repetition"}, options_.timeout);
}

void RankShuffle::compare_with_baseline() {
  if (!options_.baseline) return;
  const TransferTotals totals = totals_of(*job().plan);
  const Bytes sent = totals.bytes_by_link[static_cast<std::size_t>(LinkClass::kIntraNode)] +
                     totals.bytes_by_link[static_cast<std::size_t>(LinkClass::kInterNode)] +
                     totals.bytes_by_link[static_cast<std::size_t>(LinkClass::kInterRack)];
  const auto ranks = static_cast<std::int64_t>(context_.member.control->size());
  context_.where = {.phase = Phase::kVerified, .wanted = "baseline"};
  outcome_.baseline = measure_baseline(context_.member, context_.waiter, memories_[way_].live(),
                                       Bytes(sent.count() / ranks),
                                       std::max<std::size_t>(programs_[way_].units.size(), 1),
                                       job().plan->sizes.largest(), options_.timeout);
}

/// A transport that fails may only feel what a peer has broken; the peer tells everybody before it
/// aborts, so its word is here or on its way.
Failure RankShuffle::root_cause(Failure mine) const {
  for (const Deadline grace = Deadline::in(kGrace); !grace.expired();) {
    if (const auto told = context_.member.control->failure()) {
      return located(*told, context_.where);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return mine;
}

void RankShuffle::fail(Failure failure) {
  const WaitTopic place = context_.where;
  outcome_.failure = std::move(failure);
  context_.member.control->fail(*outcome_.failure);
  settle();
  context_.member.transport->abort();
  turn_.reset();
  context_.where = place;
  survey_after_failure();
}

void RankShuffle::settle() {
  if (!turn_) return;
  try {
    turn_->settle();
  } catch (const DeviceError& error) {
    outcome_.failure->reason +=
        std::string("; what was voted for may be live elsewhere: ") + error.what();
  }
}

/// Every layer is wholly old or wholly new: say which, having looked.
void RankShuffle::survey_after_failure() {
  if (!options_.verify || memories_.empty() || context_.where.phase == Phase::kSetup) return;
  try {
    compare_every_byte(context_, job(), memories_[way_], fingerprints());
  } catch (const DeviceError&) {
    outcome_.slots_verified = 0;  // the device is gone, and with it what it held
  }
}

}  // namespace moeshift
