// SPDX-License-Identifier: Apache-2.0
// The half of a lane that moves a few experts in every step.
#include <algorithm>
#include <utility>

#include "moeshift/schedule/scheduler.hpp"
#include "moeshift/simulate/lane.hpp"

namespace moeshift {
namespace {

LoadMatrix one_layer(const LoadMatrix& load, LayerId layer) {
  LoadMatrix row(1, load.columns());
  std::copy(load.row(layer).begin(), load.row(layer).end(), row.row(LayerId(0)).begin());
  return row;
}

Placement one_layer(const Placement& placement, std::span<const ExpertId> slots) {
  IdMatrix<LayerId, SlotId, ExpertId> row(1, slots.size());
  std::copy(slots.begin(), slots.end(), row.row(LayerId(0)).begin());
  return {placement.experts(), placement.ranks(), std::move(row)};
}

}  // namespace

void Lane::trickle() {
  if (settings_.planner == nullptr || !run_.idle() || !forecaster_->ready()) return;
  const std::vector<LayerId> due = queue_.due(result_.steps);
  if (!due.empty()) {
    const Forecast forecast = forecaster_->forecast();
    for (const LayerId layer : due) {
      ++result_.decisions.due;
      queue_.offer(layer, result_.steps, find_move(forecast, layer));
    }
  }
  std::vector<TrickleMove> moves = queue_.take(settings_.mode.trickle_bytes);
  if (!moves.empty()) begin_trickle(std::move(moves));
}

ExpertSizes Lane::sizes_of(LayerId layer) const {
  return deployment_.expert_sizes.layers(layer.index(), layer.index() + 1);
}

/// What the policy would change in one layer, if that is worth what serving feels of it.
std::optional<TrickleMove> Lane::find_move(const Forecast& forecast, LayerId layer) {
  const Placement old = one_layer(placement_, placement_.layer(layer));
  PlanProblem problem{.load = one_layer(forecast.load, layer),
                      .samples = {},
                      .topology = deployment_.topology(),
                      .slots = placement_.slots(),
                      .expert_groups = deployment_.expert_groups,
                      .old = &old,
                      .seed = settings_.seed + layer.value(),
                      .inactive = inactive_};
  for (const LoadMatrix& sample : forecast.samples) {
    problem.samples.push_back(one_layer(sample, layer));
  }
  NoProgress progress;
  const Placement next = settings_.planner->plan(problem, Threads{1}, progress).placement;
  if (next == old) {
    ++result_.decisions.unchanged;
    return std::nullopt;
  }
  const TransferPlan plan = make_transfer_plan(old, next, deployment_.topology(), sizes_of(layer),
                                               schedule(), Threads{1});
  const TransferCost cost =
      price(plan, deployment_.topology(), deployment_.cluster,
            {.synchronous = false, .background_share = settings_.mode.background_share});
  RearrangementWork work = work_of(plan, cost);
  if (work.layers.empty()) return std::nullopt;
  connection_ = std::max(connection_, work.connection);
  TrickleMove move;
  move.slots.assign(next.layer(LayerId(0)).begin(), next.layer(LayerId(0)).end());
  move.work = work.layers.front();
  move.work.layer = layer;
  const auto seconds = [&](const Placement& placement) {
    const LayerDispatch shares = shares_of(placement, LayerId(0), problem.load);
    return model_.layer_time(problem.load.row(LayerId(0)), shares).total;
  };
  move.gain = seconds(old) - seconds(next);
  if (!pays(move)) {
    ++result_.decisions.too_costly;
    return std::nullopt;
  }
  return move;
}

/// The vote, the commit and at worst all of the staging are felt; the gain lasts for the horizon.
bool Lane::pays(const TrickleMove& move) const {
  if (settings_.price == TransferPrice::kFree) return move.gain > Seconds();
  const DecisionRule& rule = settings_.rule;
  const auto horizon = static_cast<double>(rule.horizon.value_or(rule.interval));
  const Seconds felt =
      move.work.vote + move.work.commit + move.work.stage * settings_.mode.background_share;
  return move.gain > Seconds() && move.gain * horizon >= felt * rule.min_gain_over_cost.value_or(0);
}

void Lane::begin_trickle(std::vector<TrickleMove> moves) {
  ++result_.decisions.rearranged;
  pending_planned_at_ = result_.steps;
  RearrangementWork work;
  if (!std::exchange(connected_, true)) work.connection = connection_;
  IdMatrix<LayerId, SlotId, ExpertId> slots = placement_.physical_to_logical();
  // One record for all of it: there are no events to tell apart.
  if (!open_) open_.emplace().step = result_.steps;
  std::vector<LayerId> layers;
  for (TrickleMove& move : moves) {
    layers.push_back(move.work.layer);
    std::copy(move.slots.begin(), move.slots.end(), slots.row(move.work.layer).begin());
    open_->transfers += move.work.transfers;
    open_->bytes += move.work.bytes;
    open_->predicted += move.work.stage + move.work.vote + move.work.commit;
    open_->predicted_gain += move.gain;
    result_.bytes += move.work.bytes;
    work.layers.push_back(move.work);
  }
  open_->layers += layers.size();
  result_.layers_moved += layers.size();
  target_ = Placement(placement_.experts(), placement_.ranks(), std::move(slots));
  if (settings_.price == TransferPrice::kFree) {
    commit(layers);
    return;
  }
  moving_ = true;
  run_.begin(std::move(work));
}

}  // namespace moeshift
