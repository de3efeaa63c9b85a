// SPDX-License-Identifier: Apache-2.0
#include "moeshift/simulate/lane.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "moeshift/core/error.hpp"
#include "moeshift/schedule/scheduler.hpp"
#include "moeshift/simulate/step_observer.hpp"

namespace moeshift {
namespace {

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
      placement_(std::move(initial)),
      target_(placement_),
      dispatch_(dispatch_of(placement_)),
      dispatch_before_(placement_.layers()),
      layer_seconds_(placement_.layers()),
      gain_per_layer_(placement_.layers()),
      next_decision_(settings_.rule.first.value_or(settings_.rule.interval)) {
  result_.name = settings_.name;
}

Lane::~Lane() = default;
Lane::Lane(Lane&&) noexcept = default;

std::vector<LayerDispatch> Lane::dispatch_of(const Placement& placement) const {
  std::vector<LayerDispatch> dispatch;
  for (const LayerId layer : all_ids<LayerId>(placement.layers())) {
    dispatch.push_back(
        dispatch_shares(placement, layer, deployment_.topology(), settings_.dispatch));
  }
  return dispatch;
}

void Lane::serve(const LoadMatrix& load, bool repeated) {
  if (!settings_.oracle) decide();
  const RearrangementRun::Boundary boundary = run_.at_boundary();
  commit(boundary.committed);
  if (!repeated || !served_valid_) serve_alone(load);
  const Seconds alone = std::accumulate(layer_seconds_.begin(), layer_seconds_.end(), outside_);
  const RearrangementRun::Background background = run_.background();
  Seconds served = alone;
  if (background.busy > Seconds()) {
    served = step_beside(alone, contended_seconds(load, background.bytes), background.quiet,
                         background.busy);
  }
  if (observer_ != nullptr) show(boundary, background, served, load);
  const Seconds at_work = run_.advance(served);
  count(load, boundary.stall, served, served - alone, at_work);
  if (moving_ && run_.idle()) finish_record();
  if (settings_.planner != nullptr && !settings_.oracle) forecaster_->observe(load);
}

void Lane::count(const LoadMatrix& load, Seconds stall, Seconds served, Seconds contention,
                 Seconds at_work) {
  credit_gains(load);
  if (moving_) {
    open_->exposed += stall + contention;
    open_->overlapped += at_work;
  }
  result_.exposed += stall + contention;
  result_.overlapped += at_work;
  result_.step_times.add(stall + served);
  result_.tokens += std::accumulate(load.items().begin(), load.items().end(), 0.0) /
                    static_cast<double>(load.rows() * deployment_.model.top_k());
  balancedness_sum_ += balancedness_;
  staleness_sum_ += static_cast<double>(result_.steps - planned_at_);
  ++result_.steps;
}

void Lane::show(const RearrangementRun::Boundary& boundary,
                const RearrangementRun::Background& background, Seconds served,
                const LoadMatrix& load) const {
  ServedStep step;
  step.number = result_.steps;
  step.start = result_.step_times.sum();
  step.stall = boundary.stall;
  step.served = served;
  step.phase = run_.phase();
  step.committed = boundary.committed;
  step.quiet = std::min(background.quiet, served);
  step.busy = std::min(background.busy, served - step.quiet);
  step.fill_bytes = background.bytes;
  observer_->served(step, load, dispatch_, deployment_.model);
}

void Lane::serve_alone(const LoadMatrix& load) {
  double pairs = 0;
  double balancedness = 0;
  for (const LayerId layer : load.row_ids()) {
    const std::size_t index = layer.index();
    const LayerTime time = deployment_.model.layer_time(load.row(layer), dispatch_[index]);
    layer_seconds_[index] = time.total;
    pairs += time.mean_tokens;
    balancedness += time.busiest_tokens > 0 ? time.mean_tokens / time.busiest_tokens : 1;
    gain_per_layer_[index] = Seconds();
    if (dispatch_before_[index].empty()) continue;
    const Seconds before =
        deployment_.model.layer_time(load.row(layer), dispatch_before_[index]).total;
    gain_per_layer_[index] = before - time.total;
  }
  const auto layers = static_cast<double>(load.rows());
  const double ranks = static_cast<double>(deployment_.topology().ranks());
  outside_ = deployment_.model.outside_layers(pairs / layers * ranks, load.rows());
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
    total +=
        deployment_.model.layer_time(load.row(layer), dispatch_[layer.index()], contention).total;
  }
  return total;
}

double Lane::slowdown_of(const LoadMatrix& load, const Outlook& now,
                         const BytesByLink& bytes) const {
  const Seconds alone = outside_ + now.total();
  const Seconds contended = contended_seconds(load, bytes);
  return contended > Seconds() ? 1 - ratio(alone, contended) : 0;
}

void Lane::commit(const std::vector<LayerId>& layers) {
  if (layers.empty()) return;
  placement_ = with_layers_of(placement_, target_, layers);
  for (const LayerId layer : layers) {
    const std::size_t index = layer.index();
    dispatch_before_[index] =
        std::exchange(dispatch_[index],
                      dispatch_shares(target_, layer, deployment_.topology(), settings_.dispatch));
  }
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
