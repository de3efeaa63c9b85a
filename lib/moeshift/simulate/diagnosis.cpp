// SPDX-License-Identifier: Apache-2.0
#include "moeshift/simulate/diagnosis.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/cost/balance.hpp"
#include "moeshift/judge/ranking.hpp"
#include "moeshift/plan/lower_bound.hpp"

namespace moeshift {
namespace {

double largest(std::span<const double> values) {
  return *std::max_element(values.begin(), values.end());
}

/// "+12.3 % (95 % interval +11.0 to +13.5 %)", as shares of `whole`.
std::string share_text(const PairedDifference& saving, double whole) {
  const auto percent = [&](double seconds) { return 100 * seconds / whole; };
  if (saving.method == IntervalMethod::kNone) return fmt::format("{:.1f} %", percent(saving.mean));
  return fmt::format("{:.1f} % (95 % interval {:.1f} to {:.1f} %)", percent(saving.mean),
                     percent(saving.low), percent(saving.high));
}

/// The judge's notes while the verdict forms.
class Judge {
 public:
  Judge(std::span<const BacktestLane> lanes, const DiagnosisOptions& options)
      : lanes_(lanes), options_(options), never_(lanes.front().blocks.mean().count()) {}

  Diagnosis verdict() {
    measure();
    estimate_interval();
    const std::size_t best = best_of([](const BacktestLane& lane) {
      return lane.habit == Habit::kOnce || lane.habit == Habit::kEvery;
    });
    const PairedDifference& saving = outcome(best).saving;
    const double worthwhile = options_.worthwhile * never_;
    if (lanes_.front().result.balancedness >= options_.balanced) {
      leave_balanced(best);
    } else if (saving.mean < worthwhile || !saving.certain()) {
      leave_off(best, worthwhile);
    } else {
      take(best, worthwhile);
    }
    return std::move(diagnosis_);
  }

 private:
  [[nodiscard]] const HabitOutcome& outcome(std::size_t lane) const {
    return diagnosis_.outcomes[lane - 1];
  }

  void measure() {
    for (std::size_t i = 1; i < lanes_.size(); ++i) {
      HabitOutcome outcome{
          .lane = i,
          .saving = mean_difference(lanes_[0].blocks, lanes_[i].blocks, {.seed = options_.seed}),
          .rearrangement = {}};
      const std::uint64_t count = lanes_[i].result.decisions.rearranged;
      if (count > 0) {
        outcome.rearrangement = lanes_[i].result.exposed / static_cast<double>(count);
      }
      diagnosis_.outcomes.push_back(outcome);
    }
  }

  template <class Wanted>
  [[nodiscard]] std::size_t best_of(Wanted wanted) const {
    std::size_t best = 0;
    for (std::size_t i = 1; i < lanes_.size(); ++i) {
      if (!wanted(lanes_[i])) continue;
      if (best == 0 || outcome(i).saving.mean > outcome(best).saving.mean) best = i;
    }
    MOESHIFT_CHECK(best != 0);
    return best;
  }

  /// A plan that is n steps old costs a * n more per step; with every n steps a rearrangement that
  /// costs C, C / n + a n / 2 is least at sqrt(2 C / a).
  void estimate_interval() {
    std::vector<double> ages;
    std::vector<double> means;
    double cost = 0;
    for (std::size_t i = 1; i < lanes_.size(); ++i) {
      const BacktestLane& lane = lanes_[i];
      if (lane.habit != Habit::kEvery || lane.result.decisions.rearranged == 0) continue;
      ages.push_back(static_cast<double>(lane.interval) / 2);
      means.push_back(lane.blocks.mean().count() -
                      lane.result.exposed.count() / static_cast<double>(lane.result.steps));
      cost += outcome(i).rearrangement.count();
    }
    if (ages.size() < 2) return;
    const auto n = static_cast<double>(ages.size());
    const double age = std::accumulate(ages.begin(), ages.end(), 0.0) / n;
    const double mean = std::accumulate(means.begin(), means.end(), 0.0) / n;
    double covariance = 0;
    double variance = 0;
    for (std::size_t i = 0; i < ages.size(); ++i) {
      covariance += (ages[i] - age) * (means[i] - mean);
      variance += (ages[i] - age) * (ages[i] - age);
    }
    diagnosis_.ageing = std::max(0.0, covariance / variance);
    if (*diagnosis_.ageing > 0)
      diagnosis_.best_interval = std::sqrt(2 * cost / n / *diagnosis_.ageing);
  }

  void leave_balanced(std::size_t best) {
    const double busiest = 1 / lanes_.front().result.balancedness - 1;
    diagnosis_.firm = true;
    say(
        fmt::format("ranks are balanced as they are: the busiest has {:.0f} % more than the mean, "
                    "step by step (below {:.0f} % counts as balanced)",
                    100 * busiest, 100 * (1 / options_.balanced - 1)));
    say(fmt::format("what there is to gain: the best habit ({}) would save {} of the step time",
                    lanes_[best].name, share_text(outcome(best).saving, never_)));
  }

  void leave_off(std::size_t best, double worthwhile) {
    const PairedDifference& saving = outcome(best).saving;
    diagnosis_.advice = Advice::kLeaveOff;
    const bool small = saving.mean < worthwhile;
    diagnosis_.firm = saving.method != IntervalMethod::kNone && saving.high < worthwhile;
    say(fmt::format("out of sample the best habit ({}) saves {} of the step time, {}",
                    lanes_[best].name, share_text(saving, never_),
                    small ? fmt::format("less than the {:.1f} % that is worth the trouble",
                                        100 * options_.worthwhile)
                          : std::string("which may be chance")));
    const std::size_t oracle =
        best_of([](const BacktestLane& lane) { return lane.habit == Habit::kOracle; });
    say(fmt::format("knowing the future and moving for free would save {}",
                    share_text(outcome(oracle).saving, never_)));
  }

  void take(std::size_t best, double worthwhile) {
    const std::size_t once =
        best_of([](const BacktestLane& lane) { return lane.habit == Habit::kOnce; });
    const std::size_t every =
        best_of([](const BacktestLane& lane) { return lane.habit == Habit::kEvery; });
    const PairedDifference more =
        mean_difference(lanes_[once].blocks, lanes_[every].blocks, {.seed = options_.seed});
    const bool once_pays =
        outcome(once).saving.certain() && outcome(once).saving.mean >= worthwhile;
    const bool again_pays = more.certain() && more.mean >= worthwhile;
    if (once_pays && !again_pays) {
      static_plan(once, every, more, worthwhile);
    } else {
      dynamic(best == once ? every : best, once);
    }
  }

  void static_plan(std::size_t once, std::size_t every, const PairedDifference& more,
                   double worthwhile) {
    diagnosis_.advice = Advice::kStaticPlan;
    diagnosis_.lane = once;
    diagnosis_.firm = more.method != IntervalMethod::kNone && more.high < worthwhile &&
                      outcome(once).saving.low > worthwhile;
    say(fmt::format("one plan, made on the warm-up alone, saves {} of the step time from then on",
                    share_text(outcome(once).saving, never_)));
    say(fmt::format("planning again ({}) would save {} more, costs included: {}",
                    lanes_[every].name, share_text(more, never_),
                    more.certain() ? "too little" : "no more than chance"));
  }

  void dynamic(std::size_t best, std::size_t once) {
    const std::size_t chosen = longest_as_good();
    diagnosis_.advice = Advice::kDynamic;
    diagnosis_.lane = chosen;
    const PairedDifference more =
        mean_difference(lanes_[once].blocks, lanes_[chosen].blocks, {.seed = options_.seed});
    diagnosis_.firm = outcome(chosen).saving.low > 0 && more.low > 0;
    say(fmt::format("planning {} saves {} of the step time, all costs of moving included",
                    lanes_[chosen].name, share_text(outcome(chosen).saving, never_)));
    say(fmt::format("planning once saves {}: the traffic moves away from a plan",
                    share_text(outcome(once).saving, never_)));
    const bool shortest = std::none_of(lanes_.begin(), lanes_.end(), [&](const BacktestLane& lane) {
      return lane.habit == Habit::kEvery && lane.interval < lanes_[chosen].interval;
    });
    if (shortest) say("no shorter interval was tried: only fast re-planning helps here");
    if (chosen != best) {
      say(fmt::format("{} did no worse than {} beyond chance, and moves less", lanes_[chosen].name,
                      lanes_[best].name));
    }
  }

  /// Of the habits that plan again: the one that moves least often and may be as good as the best.
  [[nodiscard]] std::size_t longest_as_good() const {
    std::vector<std::size_t> every;
    std::vector<Tradeoff> tradeoffs;
    for (std::size_t i = 1; i < lanes_.size(); ++i) {
      if (lanes_[i].habit != Habit::kEvery) continue;
      every.push_back(i);
      tradeoffs.push_back({outcome(i).saving.mean, 1 / static_cast<double>(lanes_[i].interval)});
    }
    const Ranking ranking = ranking_of(tradeoffs, [&](std::size_t a, std::size_t b) {
      return mean_difference(lanes_[every[b]].blocks, lanes_[every[a]].blocks,
                             {.seed = options_.seed});
    });
    return every[cheapest_of_equals(
        ranking, [&](std::size_t i) { return outcome(every[i]).saving.certain(); },
        [&](std::size_t a, std::size_t b) { return tradeoffs[a].cost < tradeoffs[b].cost; })];
  }

  void say(std::string reason) { diagnosis_.reasons.push_back(std::move(reason)); }

  std::span<const BacktestLane> lanes_;
  const DiagnosisOptions& options_;
  double never_;
  Diagnosis diagnosis_;
};

std::vector<double> imbalances(const RankLoads& loads) {
  std::vector<double> values;
  for (const LayerId layer : loads.row_ids()) {
    const auto row = loads.row(layer);
    const double sum = std::accumulate(row.begin(), row.end(), 0.0);
    values.push_back(sum > 0 ? largest(row) * static_cast<double>(row.size()) / sum : 1);
  }
  return values;
}

}  // namespace

double noise_floor(std::size_t ranks, double pairs_per_rank) {
  if (ranks < 2 || pairs_per_rank <= 0) return 1;
  return 1 + std::sqrt(2 * std::log(static_cast<double>(ranks)) / pairs_per_rank);
}

std::vector<LayerOutlook> layer_outlooks(const LoadMatrix& load, const Placement& without,
                                         std::size_t slots, const Topology& topology,
                                         std::size_t expert_groups, const Planner& planner,
                                         Threads threads, Progress& progress) {
  const std::size_t ranks = topology.ranks();
  PlanProblem problem{.load = load,
                      .samples = {},
                      .topology = topology,
                      .slots = slots,
                      .expert_groups = expert_groups};
  const std::vector<double> now = imbalances(rank_loads(load, without));
  const auto best_with = [&](std::size_t slot_count) {
    problem.slots = slot_count;
    const Placement placement = planner.plan(problem, threads, progress).placement;
    return imbalances(rank_loads(load, placement));
  };
  const std::vector<double> as_few = best_with(without.slots());
  const std::vector<double> with_slots = best_with(slots);
  std::vector<LayerOutlook> layers;
  double excess = 0;
  for (const LayerId layer : load.row_ids()) {
    const std::size_t i = layer.index();
    const double mean = layer_total(load, layer) / static_cast<double>(ranks);
    const double bound =
        mean > 0 ? tight_lower_bound(load.row(layer), ranks, slots, with_slots[i] * mean) / mean
                 : 1;
    const double best = std::min(now[i], with_slots[i]);
    layers.push_back({now[i], std::min(now[i], as_few[i]), best, bound, (now[i] - best) * mean});
    excess += layers.back().excess_share;
  }
  for (LayerOutlook& layer : layers) layer.excess_share /= excess > 0 ? excess : 1;
  return layers;
}

std::vector<LayerId> layers_that_matter(std::span<const LayerOutlook> layers, double share) {
  std::vector<LayerId> order;
  for (const LayerId layer : all_ids<LayerId>(layers.size())) order.push_back(layer);
  std::stable_sort(order.begin(), order.end(), [&](LayerId a, LayerId b) {
    return layers[a.index()].excess_share > layers[b.index()].excess_share;
  });
  double sum = 0;
  std::size_t count = 0;
  while (count < order.size() && sum < share && layers[order[count].index()].excess_share > 0) {
    sum += layers[order[count++].index()].excess_share;
  }
  order.resize(count);
  return order;
}

std::string_view name_of(Advice advice) {
  static constexpr std::array<std::string_view, 3> kNames = {"leave off", "static plan", "dynamic"};
  return kNames[static_cast<std::size_t>(advice)];
}

Diagnosis diagnose(std::span<const BacktestLane> lanes, const DiagnosisOptions& options) {
  MOESHIFT_CHECK(lanes.size() >= 4 && lanes.front().habit == Habit::kNever);
  return Judge(lanes, options).verdict();
}

}  // namespace moeshift
