// SPDX-License-Identifier: Apache-2.0
#include "moeshift/simulate/lane.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "moeshift/core/error.hpp"
#include "moeshift/simulate/step_observer.hpp"

namespace moeshift {

Lane::Lane(LaneSettings settings, const Deployment& deployment, Placement initial)
    : settings_(std::move(settings)),
      deployment_(deployment),
      world_(settings_, deployment, initial),
      served_(settings_, world_, std::move(initial)),
      policy_(settings_, deployment, world_, served_),
      trickle_(settings_, deployment, world_, served_),
      run_(settings_.mode),
      ledger_(settings_.name) {}

void Lane::serve(const LoadMatrix& load, std::size_t passes) {
  for (std::size_t pass = 0; pass < passes; ++pass) serve_pass(load, pass > 0);
  for (std::size_t pass = 0; pass < passes; ++pass) policy_.see(load);
  ++recording_;
}

void Lane::serve_pass(const LoadMatrix& load, bool repeated) {
  const Seconds outage = change_world();
  const bool decides = !settings_.oracle && !trickles();
  if (decides && policy_.due(ledger_.steps(), !run_.idle(), ledger_.decisions())) {
    if (auto proposal = policy_.decide(ledger_.decisions())) start(std::move(*proposal));
  }
  const RearrangementRun::Boundary boundary = run_.at_boundary();
  commit(boundary.committed);
  if (!settings_.oracle && trickles()) trickle();
  served_.serve(load, ledger_.steps(), repeated);
  const Seconds alone = served_.alone();
  const RearrangementRun::Background background = run_.background();
  Seconds served = alone;
  if (background.busy > Seconds()) {
    served = step_beside(alone, served_.contended(load, background.bytes), background.quiet,
                         background.busy);
  }
  if (observer_ != nullptr) show(outage, boundary, background, served, load);
  const Seconds at_work = run_.advance(served);
  ledger_.credit(served_.layer_gains(), served_.has_baseline());
  ledger_.enter({.tokens = std::accumulate(load.items().begin(), load.items().end(), 0.0) /
                           static_cast<double>(std::max<std::size_t>(loaded_layers(load), 1) *
                                               deployment_.model.top_k()),
                 .outage = outage,
                 .stall = boundary.stall,
                 .served = served,
                 .contention = served - alone,
                 .at_work = at_work,
                 .balancedness = served_.balancedness()});
  if (ledger_.is_under_way() && run_.idle()) finish();
  policy_.see_balancedness(served_.balancedness());
}

void Lane::rearrange_for(const LoadMatrix& load) {
  MOESHIFT_CHECK(run_.idle());
  auto proposal = policy_.decide_knowing(load, ledger_.decisions());
  if (proposal) start(std::move(*proposal));
}

void Lane::start(Proposal proposal) {
  RearrangementWork& work = proposal.work;
  const bool free = proposal.price == TransferPrice::kFree;
  if (!free && std::exchange(connected_, true)) work.connection = Seconds();
  RearrangementRecord record;
  record.step = ledger_.steps();
  record.transfers = work.transfers();
  record.bytes = work.bytes();
  if (!free) {
    record.predicted =
        work.connection + pipelined(work.layers, std::min(settings_.mode.buffers, work.in_flight));
  }
  std::vector<LayerId> layers;
  for (const LayerWork& layer : work.layers) {
    layers.push_back(layer.layer);
    const std::size_t index = layer.layer.index();
    record.predicted_gain += proposal.now.layer_seconds[index] - proposal.then.layer_seconds[index];
    const auto before = placement().layer(layer.layer);
    const auto after = proposal.target.layer(layer.layer);
    if (!std::equal(before.begin(), before.end(), after.begin())) ++record.layers;
  }
  ++ledger_.decisions().rearranged;
  ledger_.open(record);
  served_.start_baseline();
  target_ = std::move(proposal.target);
  if (free) {
    commit(layers);
    finish();
    return;
  }
  ledger_.under_way();
  run_.begin(std::move(work));
}

void Lane::trickle() {
  if (!run_.idle()) return;
  std::vector<TrickleMove> moves =
      trickle_.next(ledger_.steps(), policy_.forecaster(), ledger_.decisions());
  if (moves.empty()) return;
  ++ledger_.decisions().rearranged;
  RearrangementWork work;
  if (!std::exchange(connected_, true)) work.connection = trickle_.connection();
  IdMatrix<LayerId, SlotId, ExpertId> slots = placement().physical_to_logical();
  std::vector<LayerId> layers;
  for (const TrickleMove& move : moves) {
    layers.push_back(move.work.layer);
    std::copy(move.slots.begin(), move.slots.end(), slots.row(move.work.layer).begin());
    RearrangementRecord record;
    record.layers = 1;
    record.transfers = move.work.transfers;
    record.bytes = move.work.bytes;
    record.predicted = move.work.stage + move.work.vote + move.work.commit;
    record.predicted_gain = move.gain;
    ledger_.extend(record);
    work.layers.push_back(move.work);
  }
  target_ = Placement(placement().experts(), placement().ranks(), std::move(slots));
  if (settings_.price == TransferPrice::kFree) {
    commit(layers);
    return;
  }
  ledger_.under_way();
  run_.begin(std::move(work));
}

void Lane::commit(const std::vector<LayerId>& layers) {
  if (layers.empty()) return;
  served_.commit(*target_, layers, trickles());
  ledger_.committed();
}

void Lane::finish() {
  ledger_.finish(!trickles());
}

/// @return how long the world stands still for it.
Seconds Lane::change_world() {
  Seconds stall;
  while (const WorldEvent* event = world_.next_event(ledger_.steps())) {
    run_.abort();
    if (ledger_.is_under_way()) finish();
    WorldEventRecord record;
    record.event = *event;
    if (event->kind == WorldEvent::Kind::kFail) {
      fail_rank(*event, record);
    } else {
      resize(event->ranks, record);
    }
    record.ranks_serving = world_.model().ranks_serving();
    stall += record.reload + record.stall;
    ledger_.enter(record);
    trickle_.restart(ledger_.steps());
    policy_.forget_promise();
    if (policy_.known_load()) rearrange_for(LoadMatrix(*policy_.known_load()));
  }
  return stall;
}

void Lane::fail_rank(const WorldEvent& event, WorldEventRecord& record) {
  if (world_.has_failed(event.rank)) return;
  ServingWorld::Survivors survivors = world_.fail(event, placement());
  record.experts_lost = survivors.lost;
  record.reload = survivors.reload;
  served_.replace(std::move(survivors.placement));
  policy_.restart(ledger_.steps());
}

/// The world stops, whatever the mode: ranks may leave only when what they held has arrived.
void Lane::resize(std::size_t ranks, WorldEventRecord& record) {
  world_.resize(ranks);
  Placement next = policy_.placement_anew();
  const TransferPlan plan =
      make_transfer_plan(placement(), next, deployment_.topology(), deployment_.expert_sizes,
                         schedule_of(settings_, deployment_, world_), Threads{1});
  const TransferCost cost =
      price(plan, deployment_.topology(), deployment_.cluster, {.buffers = settings_.mode.buffers});
  const TransferTotals totals = totals_of(plan);
  RearrangementRecord moved;
  moved.cause = RearrangementRecord::Cause::kResize;
  moved.step = ledger_.steps();
  moved.finished_step = ledger_.steps();
  moved.layers = static_cast<std::size_t>(std::count_if(
      plan.layers.begin(), plan.layers.end(), [](const auto& l) { return !l.waves.empty(); }));
  moved.transfers = totals.transfers;
  moved.bytes = totals.bytes_by_link;
  if (settings_.price == TransferPrice::kFull) moved.exposed = moved.predicted = cost.total;
  record.stall = moved.exposed;
  connected_ = true;
  ledger_.open(moved);
  served_.start_baseline();
  served_.replace(std::move(next));
  ledger_.committed();
  policy_.restart(ledger_.steps() + settings_.rule.interval);
}

void Lane::show(Seconds outage, const RearrangementRun::Boundary& boundary,
                const RearrangementRun::Background& background, Seconds served,
                const LoadMatrix& load) const {
  ServedStep step;
  step.number = ledger_.steps();
  step.recording = recording_;
  step.start = ledger_.clock();
  step.outage = outage;
  step.stall = outage + boundary.stall;
  step.served = served;
  step.phase = run_.phase();
  step.committed = boundary.committed;
  step.quiet = std::min(background.quiet, served);
  step.busy = std::min(background.busy, served - step.quiet);
  step.stage_bytes = background.bytes;
  observer_->served(step, load, served_.dispatch(), world_.model());
}

}  // namespace moeshift
