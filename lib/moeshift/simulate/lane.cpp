// SPDX-License-Identifier: Apache-2.0
#include "moeshift/simulate/lane.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/core/rng.hpp"
#include "moeshift/schedule/scheduler.hpp"
#include "moeshift/simulate/step_observer.hpp"

namespace moeshift {
namespace {

std::vector<bool> ranks_that_hold(const Placement& placement) {
  std::vector<bool> holds(placement.ranks());
  for (const LayerId layer : all_ids<LayerId>(placement.layers())) {
    for (const SlotId slot : all_ids<SlotId>(placement.slots())) {
      if (placement(layer, slot).is_none()) continue;
      holds[placement.rank_of(slot).index()] = true;
    }
  }
  return holds;
}

void check_events(const std::vector<WorldEvent>& events, std::size_t ranks) {
  for (const WorldEvent& event : events) {
    if (event.rank.index() >= ranks && event.kind == WorldEvent::Kind::kFail) {
      throw InputError("", fmt::format("rank {} cannot fail: the ranks are 0 .. {}",
                                       event.rank.value(), ranks - 1));
    }
    if (event.ranks > ranks) {
      throw InputError(
          "", fmt::format("cannot grow to {} ranks: the deployment has {}", event.ranks, ranks));
    }
  }
}

Placement with_layers_of(const Placement& base, const Placement& other,
                         const std::vector<LayerId>& layers) {
  IdMatrix<LayerId, SlotId, ExpertId> slots = base.physical_to_logical();
  for (const LayerId layer : layers) {
    const auto row = other.layer(layer);
    std::copy(row.begin(), row.end(), slots.row(layer).begin());
  }
  return {base.experts(), base.ranks(), std::move(slots)};
}

}  // namespace

Lane::Lane(LaneSettings settings, const Deployment& deployment, Placement initial)
    : settings_(std::move(settings)),
      deployment_(deployment),
      forecaster_(make_forecaster(settings_.forecaster)),
      run_(settings_.mode),
      queue_(initial.layers(), settings_.rule.interval,
             settings_.rule.first.value_or(settings_.rule.interval)),
      model_(deployment.model),
      placement_(std::move(initial)),
      target_(placement_),
      dispatch_before_(placement_.layers()),
      layer_seconds_(placement_.layers()),
      gain_per_layer_(placement_.layers()),
      next_decision_(settings_.rule.first.value_or(settings_.rule.interval)) {
  result_.name = settings_.name;
  slots_before_ = placement_.physical_to_logical();
  check_events(settings_.events, placement_.ranks());
  set_serving(ranks_that_hold(placement_));
  dispatch_ = dispatch_of(placement_, {});
}

Lane::~Lane() = default;
Lane::Lane(Lane&&) noexcept = default;

LayerDispatch Lane::shares_of(const Placement& placement, LayerId layer,
                              const LoadMatrix& load) const {
  DispatchOptions options = settings_.dispatch;
  const bool known = load.rows() > 0;
  // A random draw is even in expectation; the best split of an unknown load is not known.
  const bool expectation =
      options.rule == DispatchRule::kRandom || (options.rule == DispatchRule::kLp && !known);
  if (expectation) options.rule = DispatchRule::kEven;
  const auto row = known ? load.row(layer) : std::span<const double>();
  return dispatch_shares(placement, layer, deployment_.topology(), options, row);
}

bool Lane::dispatch_follows_load() const {
  return settings_.dispatch.rule == DispatchRule::kRandom ||
         settings_.dispatch.rule == DispatchRule::kLp;
}

/// Splits this very step, under the rules that look at its load.
void Lane::dispatch_step(const LoadMatrix& load) {
  DispatchOptions options = settings_.dispatch;
  options.seed = Rng::stream(settings_.seed, result_.steps).next();
  const Placement before(placement_.experts(), placement_.ranks(), slots_before_);
  for (const LayerId layer : load.row_ids()) {
    const std::size_t index = layer.index();
    const auto row = load.row(layer);
    const auto share = [&](const Placement& placement) {
      return dispatch_shares(placement, layer, deployment_.topology(), options, row);
    };
    dispatch_[index] = share(placement_);
    if (!dispatch_before_[index].empty()) dispatch_before_[index] = share(before);
  }
}

std::vector<LayerDispatch> Lane::dispatch_of(const Placement& placement,
                                             const LoadMatrix& load) const {
  std::vector<LayerDispatch> dispatch;
  for (const LayerId layer : all_ids<LayerId>(placement.layers())) {
    dispatch.push_back(shares_of(placement, layer, load));
  }
  return dispatch;
}

void Lane::serve(const LoadMatrix& load, bool repeated) {
  const Seconds outage = change_world();
  const bool trickles = settings_.mode.kind == ModeKind::kTrickle;
  if (!settings_.oracle && !trickles) decide();
  RearrangementRun::Boundary boundary = run_.at_boundary();
  commit(boundary.committed);
  if (!settings_.oracle && trickles) trickle();
  if (!repeated || !served_valid_) {
    if (dispatch_follows_load()) dispatch_step(load);
    serve_alone(load);
  }
  const Seconds alone = std::accumulate(layer_seconds_.begin(), layer_seconds_.end(), outside_);
  const RearrangementRun::Background background = run_.background();
  Seconds served = alone;
  if (background.busy > Seconds()) {
    served = step_beside(alone, contended_seconds(load, background.bytes), background.quiet,
                         background.busy);
  }
  if (observer_ != nullptr) show(outage, boundary, background, served, load);
  const Seconds at_work = run_.advance(served);
  count(load, boundary.stall, outage, served, served - alone, at_work);
  if (moving_ && run_.idle()) finish_record();
  if (settings_.planner != nullptr && !settings_.oracle) forecaster_->observe(load);
}

void Lane::count(const LoadMatrix& load, Seconds stall, Seconds outage, Seconds served,
                 Seconds contention, Seconds at_work) {
  credit_gains(load);
  if (moving_) {
    open_->exposed += stall + contention;
    open_->overlapped += at_work;
  }
  result_.exposed += stall + contention;
  result_.overlapped += at_work;
  result_.step_times.add(outage + stall + served);
  result_.tokens += std::accumulate(load.items().begin(), load.items().end(), 0.0) /
                    static_cast<double>(load.rows() * deployment_.model.top_k());
  balancedness_sum_ += balancedness_;
  if (settings_.rule.served_steps > 0) {
    served_balancedness_.push_back(balancedness_);
    if (served_balancedness_.size() > settings_.rule.served_steps) served_balancedness_.pop_front();
  }
  staleness_sum_ += static_cast<double>(result_.steps - planned_at_);
  ++result_.steps;
}

void Lane::show(Seconds outage, const RearrangementRun::Boundary& boundary,
                const RearrangementRun::Background& background, Seconds served,
                const LoadMatrix& load) const {
  ServedStep step;
  step.number = result_.steps;
  step.start = result_.step_times.sum();
  step.outage = outage;
  step.stall = outage + boundary.stall;
  step.served = served;
  step.phase = run_.phase();
  step.committed = boundary.committed;
  step.quiet = std::min(background.quiet, served);
  step.busy = std::min(background.busy, served - step.quiet);
  step.stage_bytes = background.bytes;
  observer_->served(step, load, dispatch_, model_);
}

void Lane::serve_alone(const LoadMatrix& load) {
  double pairs = 0;
  double balancedness = 0;
  for (const LayerId layer : load.row_ids()) {
    const std::size_t index = layer.index();
    const LayerTime time = model_.layer_time(load.row(layer), dispatch_[index]);
    layer_seconds_[index] = time.total;
    pairs += time.mean_tokens;
    balancedness += time.busiest_tokens > 0 ? time.mean_tokens / time.busiest_tokens : 1;
    gain_per_layer_[index] = Seconds();
    if (dispatch_before_[index].empty()) continue;
    const Seconds before = model_.layer_time(load.row(layer), dispatch_before_[index]).total;
    gain_per_layer_[index] = before - time.total;
  }
  const auto layers = static_cast<double>(load.rows());
  const auto ranks = static_cast<double>(model_.ranks_serving());
  outside_ = model_.outside_layers(pairs / layers * ranks, load.rows());
  balancedness_ = balancedness / layers;
  served_valid_ = true;
}

void Lane::credit_gains(const LoadMatrix& load) {
  if (!open_) return;
  bool in_force = false;
  for (const LayerId layer : load.row_ids()) {
    in_force = in_force || !dispatch_before_[layer.index()].empty();
    open_->gained += gain_per_layer_[layer.index()];
  }
  if (in_force) ++open_->steps_in_force;
}

LinkContention Lane::contention_of(const BytesByLink& bytes) const {
  LinkContention contention{};
  for (std::size_t link = 1; link < kLinkClasses; ++link) {
    if (bytes[link] > Bytes()) contention[link] = settings_.mode.background_share;
  }
  return contention;
}

Seconds Lane::contended_seconds(const LoadMatrix& load, const BytesByLink& bytes) const {
  const LinkContention contention = contention_of(bytes);
  Seconds total = outside_;
  for (const LayerId layer : load.row_ids()) {
    total += model_.layer_time(load.row(layer), dispatch_[layer.index()], contention).total;
  }
  return total;
}

void Lane::commit(const std::vector<LayerId>& layers) {
  if (layers.empty()) return;
  for (const LayerId layer : layers) {
    const std::size_t index = layer.index();
    LayerDispatch before = std::exchange(dispatch_[index], shares_of(target_, layer, {}));
    // What trickles in is measured against the layer before all of it.
    if (settings_.mode.kind == ModeKind::kTrickle && !dispatch_before_[index].empty()) continue;
    dispatch_before_[index] = std::move(before);
    const auto row = placement_.layer(layer);
    std::copy(row.begin(), row.end(), slots_before_.row(layer).begin());
  }
  placement_ = with_layers_of(placement_, target_, layers);
  planned_at_ = pending_planned_at_;
  served_valid_ = false;
}

LaneResult Lane::result() const {
  LaneResult result = result_;
  if (open_ && result.rearrangements.size() < LaneResult::kRecordsKept) {
    result.rearrangements.push_back(*open_);
  }
  if (result.steps > 0) {
    result.balancedness = balancedness_sum_ / static_cast<double>(result.steps);
    result.staleness_steps = staleness_sum_ / static_cast<double>(result.steps);
  }
  return result;
}

}  // namespace moeshift
