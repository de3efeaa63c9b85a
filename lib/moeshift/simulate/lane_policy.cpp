// SPDX-License-Identifier: Apache-2.0
#include "moeshift/simulate/lane_policy.hpp"

#include <numeric>
#include <utility>

#include "moeshift/core/error.hpp"
#include "moeshift/plan/registry.hpp"

namespace moeshift {
namespace {

LayerWork handshake_of(const Cluster& cluster) {
  LayerWork handshake;
  handshake.vote = cluster.fixed.vote;
  handshake.commit = cluster.fixed.commit;
  return handshake;
}

}  // namespace

ScheduleOptions schedule_of(const LaneSettings& settings, const Deployment& deployment,
                            const ServingWorld& world) {
  ScheduleOptions options = settings.schedule.value_or(options_for(deployment.cluster));
  options.dead_ranks = world.failed();
  return options;
}

LanePolicy::LanePolicy(const LaneSettings& settings, const Deployment& deployment,
                       const ServingWorld& world, const ServedPlacement& served)
    : settings_(settings),
      deployment_(deployment),
      world_(world),
      served_(served),
      forecaster_(make_forecaster(settings.forecaster)),
      next_decision_(settings.rule.first.value_or(settings.rule.interval)) {}

bool LanePolicy::due(std::uint64_t step, bool under_way, DecisionCounts& counts) {
  if (settings_.planner == nullptr || step < next_decision_) return false;
  if (!forecaster_->ready()) {
    waits_for_load_ = true;
    return false;
  }
  if (under_way) {
    if (!std::exchange(postponed_counted_, true)) ++counts.postponed;
    return false;
  }
  postponed_counted_ = false;
  if (!std::exchange(waits_for_load_, false)) next_decision_ = step;
  while (next_decision_ <= step) next_decision_ += settings_.rule.interval;
  return true;
}

std::optional<Proposal> LanePolicy::decide(DecisionCounts& counts) {
  ++counts.due;
  const Forecast forecast = forecaster_->forecast();
  Outlook now = served_.outlook(served_.placement(), forecast.load);
  if (skip(now, counts)) return std::nullopt;
  return propose(forecast, std::move(now), counts);
}

std::optional<Proposal> LanePolicy::decide_knowing(const LoadMatrix& load, DecisionCounts& counts) {
  MOESHIFT_CHECK(settings_.oracle && settings_.planner != nullptr);
  ++counts.due;
  known_load_ = load;
  return propose({load, {}}, served_.outlook(served_.placement(), load), counts);
}

bool LanePolicy::skip(const Outlook& now, DecisionCounts& counts) const {
  const DecisionRule& rule = settings_.rule;
  double balancedness = now.balancedness;
  if (!served_balancedness_.empty()) {
    balancedness = std::accumulate(served_balancedness_.begin(), served_balancedness_.end(), 0.0) /
                   static_cast<double>(served_balancedness_.size());
  }
  if (rule.min_balancedness && balancedness >= *rule.min_balancedness) {
    ++counts.balanced;
    return true;
  }
  if (promised_imbalance_ && now.imbalance < *promised_imbalance_ * (1 + rule.hysteresis)) {
    ++counts.hysteresis;
    return true;
  }
  return false;
}

PlanProblem LanePolicy::problem_of(const Forecast& forecast) const {
  return {.load = forecast.load,
          .samples = forecast.samples,
          .scenarios = true,
          .evidence = forecast.evidence,
          .topology = deployment_.topology(),
          .slots = served_.placement().slots(),
          .expert_groups = deployment_.expert_groups,
          .old = &served_.placement(),
          .seed = settings_.seed,
          .inactive = world_.inactive(),
          .rank_speed = deployment_.model.rank_speed(),
          .routes = settings_.routes};
}

std::optional<Proposal> LanePolicy::propose(const Forecast& forecast, Outlook now,
                                            DecisionCounts& counts) {
  NoProgress progress;
  Placement target = settings_.planner->plan(problem_of(forecast), Threads{1}, progress).placement;
  Outlook then = served_.outlook(target, forecast.load);
  const bool beside = settings_.mode.kind == ModeKind::kAsync;
  const double share = beside ? settings_.mode.background_share : 1.0;
  const TransferPlan plan = make_transfer_plan(
      served_.placement(), target, deployment_.topology(), deployment_.expert_sizes,
      schedule_of(settings_, deployment_, world_), Threads{1});
  const TransferCost cost =
      price(plan, deployment_.topology(), deployment_.cluster,
            {.buffers = settings_.mode.buffers, .synchronous = !beside, .background_share = share});
  RearrangementWork work =
      work_of(plan, cost, settings_.mode.handshake_unchanged, handshake_of(deployment_.cluster));
  if (work.transfers() == 0 && totals_of(plan).local_copies == 0) {
    ++counts.unchanged;
    return std::nullopt;
  }
  const bool starts = settings_.starts_planned && counts.rearranged == 0;
  const TransferPrice charged = starts ? TransferPrice::kFree : settings_.price;
  if (charged == TransferPrice::kFull) {
    const double slowdown = beside && settings_.rule.min_gain_over_cost
                                ? served_.slowdown(forecast.load, now, work.bytes())
                                : 0;
    work = worthwhile(std::move(work), now, then, settings_.mode, settings_.rule, slowdown);
  }
  if (work.layers.empty()) {
    ++counts.too_costly;
    return std::nullopt;
  }
  promised_imbalance_ = then.imbalance;
  return Proposal{charged, std::move(target), std::move(work), std::move(now), std::move(then)};
}

void LanePolicy::restart(std::uint64_t step) {
  next_decision_ = step;
}

Placement LanePolicy::placement_anew() const {
  const bool known = settings_.planner != nullptr && !settings_.oracle && forecaster_->ready();
  const Placement& old = served_.placement();
  Forecast forecast;
  if (known) {
    forecast = forecaster_->forecast();
  } else {
    forecast.load = LoadMatrix(old.layers(), old.experts(), 1.0);
  }
  PlanProblem problem = problem_of(forecast);
  std::shared_ptr<const Planner> planner = settings_.planner;
  if (planner == nullptr) {
    planner = make_planner("static");
    problem.old = nullptr;  // which it would keep
  }
  NoProgress progress;
  return planner->plan(problem, Threads{1}, progress).placement;
}

void LanePolicy::see(const LoadMatrix& load) {
  if (settings_.planner != nullptr && !settings_.oracle) forecaster_->observe(load);
}

void LanePolicy::see_balancedness(double balancedness) {
  if (settings_.rule.served_steps == 0) return;
  served_balancedness_.push_back(balancedness);
  if (served_balancedness_.size() > settings_.rule.served_steps) served_balancedness_.pop_front();
}

}  // namespace moeshift
