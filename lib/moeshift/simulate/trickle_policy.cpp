// SPDX-License-Identifier: Apache-2.0
#include "moeshift/simulate/trickle_policy.hpp"

#include <algorithm>
#include <span>
#include <utility>

#include "moeshift/simulate/lane_policy.hpp"

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

TricklePolicy::TricklePolicy(const LaneSettings& settings, const Deployment& deployment,
                             const ServingWorld& world, const ServedPlacement& served)
    : settings_(settings),
      deployment_(deployment),
      world_(world),
      served_(served),
      queue_(served.placement().layers(), settings.rule.interval,
             settings.rule.first.value_or(settings.rule.interval)) {}

std::vector<TrickleMove> TricklePolicy::next(std::uint64_t step, const Forecaster& forecaster,
                                             DecisionCounts& counts) {
  if (settings_.planner == nullptr || !forecaster.ready()) return {};
  const std::vector<LayerId> due = queue_.due(step);
  if (!due.empty()) {
    const Forecast forecast = forecaster.forecast();
    for (const LayerId layer : due) {
      ++counts.due;
      queue_.offer(layer, step, find_move(forecast, layer, counts));
    }
  }
  return queue_.take(settings_.mode.trickle_bytes);
}

/// What the policy would change in one layer, if that is worth what serving feels of it.
std::optional<TrickleMove> TricklePolicy::find_move(const Forecast& forecast, LayerId layer,
                                                    DecisionCounts& counts) {
  const Placement& placement = served_.placement();
  const Placement old = one_layer(placement, placement.layer(layer));
  PlanProblem problem{.load = one_layer(forecast.load, layer),
                      .samples = {},
                      .scenarios = true,
                      .evidence = forecast.evidence,
                      .topology = deployment_.topology(),
                      .slots = placement.slots(),
                      .expert_groups = deployment_.expert_groups,
                      .old = &old,
                      .seed = settings_.seed + layer.value(),
                      .inactive = world_.inactive(),
                      .rank_speed = deployment_.model.rank_speed()};
  for (const LoadMatrix& sample : forecast.samples) {
    problem.samples.push_back(one_layer(sample, layer));
  }
  NoProgress progress;
  const Placement next = settings_.planner->plan(problem, Threads{1}, progress).placement;
  if (next == old) {
    ++counts.unchanged;
    return std::nullopt;
  }
  const TransferPlan plan =
      make_transfer_plan(old, next, deployment_.topology(),
                         deployment_.expert_sizes.layers(layer.index(), layer.index() + 1),
                         schedule_of(settings_, deployment_, world_), Threads{1});
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
  move.gain =
      served_.outlook(old, problem.load).total() - served_.outlook(next, problem.load).total();
  if (!pays(move)) {
    ++counts.too_costly;
    return std::nullopt;
  }
  return move;
}

/// The vote, the commit and at worst all of the staging are felt; the gain lasts for the horizon.
bool TricklePolicy::pays(const TrickleMove& move) const {
  if (settings_.price == TransferPrice::kFree) return move.gain > Seconds();
  const DecisionRule& rule = settings_.rule;
  const auto horizon = static_cast<double>(rule.horizon.value_or(rule.interval));
  const Seconds felt =
      move.work.vote + move.work.commit + move.work.stage * settings_.mode.background_share;
  return move.gain > Seconds() && move.gain * horizon >= felt * rule.min_gain_over_cost.value_or(0);
}

}  // namespace moeshift
