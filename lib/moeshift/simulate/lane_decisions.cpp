// SPDX-License-Identifier: Apache-2.0
// The half of a lane that decides; what it decided is served in lane.cpp.
#include <algorithm>
#include <numeric>
#include <utility>

#include "moeshift/core/error.hpp"
#include "moeshift/schedule/scheduler.hpp"
#include "moeshift/simulate/lane.hpp"

namespace moeshift {
namespace {

LayerWork handshake_of(const Cluster& cluster) {
  LayerWork handshake;
  handshake.vote = cluster.fixed.vote;
  handshake.commit = cluster.fixed.commit;
  return handshake;
}

}  // namespace

void Lane::decide() {
  if (settings_.planner == nullptr || result_.steps < next_decision_) return;
  if (!run_.idle()) {
    // As vLLM: the decision stays due until the rearrangement before it has ended.
    if (!std::exchange(postponed_counted_, true)) ++result_.decisions.postponed;
    return;
  }
  postponed_counted_ = false;
  next_decision_ = result_.steps + settings_.rule.interval;
  if (!forecaster_->ready()) return;
  ++result_.decisions.due;
  const Forecast forecast = forecaster_->forecast();
  const Outlook now = outlook_of(forecast.load, dispatch_of(placement_, forecast.load), model_);
  if (!skip(now)) rearrange(forecast, now);
}

void Lane::rearrange_for(const LoadMatrix& load) {
  MOESHIFT_CHECK(settings_.oracle && settings_.planner != nullptr && run_.idle());
  ++result_.decisions.due;
  known_load_ = load;
  rearrange({load, {}}, outlook_of(load, dispatch_of(placement_, load), model_));
}

bool Lane::skip(const Outlook& now) {
  const DecisionRule& rule = settings_.rule;
  double balancedness = now.balancedness;
  if (!served_balancedness_.empty()) {
    balancedness = std::accumulate(served_balancedness_.begin(), served_balancedness_.end(), 0.0) /
                   static_cast<double>(served_balancedness_.size());
  }
  if (rule.min_balancedness && balancedness >= *rule.min_balancedness) {
    ++result_.decisions.balanced;
    return true;
  }
  if (promised_imbalance_ && now.imbalance < *promised_imbalance_ * (1 + rule.hysteresis)) {
    ++result_.decisions.hysteresis;
    return true;
  }
  return false;
}

PlanProblem Lane::problem_of(const Forecast& forecast) const {
  return {.load = forecast.load,
          .samples = forecast.samples,
          .topology = deployment_.topology(),
          .slots = placement_.slots(),
          .expert_groups = deployment_.expert_groups,
          .old = &placement_,
          .seed = settings_.seed,
          .inactive = inactive_};
}

ScheduleOptions Lane::schedule() const {
  ScheduleOptions options = settings_.schedule.value_or(options_for(deployment_.cluster));
  options.dead_ranks = failed_;
  return options;
}

double Lane::slowdown_of(const LoadMatrix& load, const Outlook& now,
                         const BytesByLink& bytes) const {
  const Seconds alone = outside_ + now.total();
  const Seconds contended = contended_seconds(load, bytes);
  return contended > Seconds() ? 1 - ratio(alone, contended) : 0;
}

void Lane::rearrange(const Forecast& forecast, const Outlook& now) {
  NoProgress progress;
  target_ = settings_.planner->plan(problem_of(forecast), Threads{1}, progress).placement;
  const Outlook then = outlook_of(forecast.load, dispatch_of(target_, forecast.load), model_);
  const bool beside = settings_.mode.kind == ModeKind::kAsync;
  const double share = beside ? settings_.mode.background_share : 1.0;
  const TransferPlan plan = make_transfer_plan(placement_, target_, deployment_.topology(),
                                               deployment_.expert_sizes, schedule(), Threads{1});
  const TransferCost cost =
      price(plan, deployment_.topology(), deployment_.cluster,
            {.buffers = settings_.mode.buffers, .synchronous = !beside, .background_share = share});
  RearrangementWork work =
      work_of(plan, cost, settings_.mode.handshake_unchanged, handshake_of(deployment_.cluster));
  if (connected_) work.connection = Seconds();
  if (work.transfers() == 0 && totals_of(plan).local_copies == 0) {
    ++result_.decisions.unchanged;
    return;
  }
  if (settings_.price == TransferPrice::kFull) {
    const double slowdown = beside && settings_.rule.min_gain_over_cost
                                ? slowdown_of(forecast.load, now, work.bytes())
                                : 0;
    work = worthwhile(std::move(work), now, then, settings_.mode, settings_.rule, slowdown);
  }
  if (work.layers.empty()) {
    ++result_.decisions.too_costly;
    return;
  }
  promised_imbalance_ = then.imbalance;
  start(std::move(work), now, then);
}

void Lane::start(RearrangementWork work, const Outlook& now, const Outlook& then) {
  ++result_.decisions.rearranged;
  pending_planned_at_ = result_.steps;
  RearrangementRecord record;
  record.step = result_.steps;
  record.transfers = work.transfers();
  record.bytes = work.bytes();
  record.predicted =
      work.connection + pipelined(work.layers, std::min(settings_.mode.buffers, work.in_flight));
  std::vector<LayerId> layers;
  for (const LayerWork& layer : work.layers) {
    layers.push_back(layer.layer);
    const std::size_t index = layer.layer.index();
    record.predicted_gain += now.layer_seconds[index] - then.layer_seconds[index];
    const auto before = placement_.layer(layer.layer);
    const auto after = target_.layer(layer.layer);
    if (!std::equal(before.begin(), before.end(), after.begin())) ++record.layers;
  }
  result_.bytes += record.bytes;
  result_.layers_moved += record.layers;
  open_record(record);
  if (settings_.price == TransferPrice::kFree) {
    open_->predicted = Seconds();
    commit(layers);
    finish_record();
    return;
  }
  connected_ = true;
  moving_ = true;
  run_.begin(std::move(work));
}

/// The record before it is closed: its gains are those of the layers as they were until now.
void Lane::open_record(RearrangementRecord record) {
  if (open_ && result_.rearrangements.size() < LaneResult::kRecordsKept) {
    result_.rearrangements.push_back(*open_);
  }
  std::fill(dispatch_before_.begin(), dispatch_before_.end(), LayerDispatch());
  std::fill(gain_per_layer_.begin(), gain_per_layer_.end(), Seconds());
  open_ = record;
}

void Lane::finish_record() {
  moving_ = false;
  if (settings_.mode.kind == ModeKind::kTrickle) return;  // it has no end
  open_->finished_step = result_.steps;
  result_.longest_rearrangement_steps =
      std::max(result_.longest_rearrangement_steps, result_.steps - open_->step);
}

}  // namespace moeshift
