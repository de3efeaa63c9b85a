// SPDX-License-Identifier: Apache-2.0
#include "moeshift/simulate/diagnosis.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <initializer_list>
#include <numeric>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"
#include "moeshift/judge/ranking.hpp"

namespace moeshift {
namespace {

/// The judge's notes while the verdict forms.
class Judge {
 public:
  Judge(std::span<const BacktestLane> lanes, const DiagnosisOptions& options)
      : lanes_(lanes),
        options_(options),
        never_(lanes.front().blocks.mean().count()),
        worthwhile_(options.worthwhile * never_) {}

  Diagnosis verdict() {
    measure();
    estimate_interval();
    const std::size_t once = best_of(Habit::kOnce);
    const std::size_t every = best_of(Habit::kEvery);
    const std::size_t best = outcome(every).saving.mean > outcome(once).saving.mean ? every : once;
    const PairedDifference& saving = outcome(best).saving;
    diagnosis_.windows = saving.pairs;
    if (saving.mean < worthwhile_ || maybe_chance(saving)) {
      leave_off(best);
    } else if (static_suffices(once, every)) {
      static_plan(once, every);
    } else {
      dynamic(every, once);
    }
    if (diagnosis_.lane) diagnosis_.saving_share = outcome(*diagnosis_.lane).saving.mean / never_;
    mention_balance();
    mention_windows();
    compare_objectives();
    return std::move(diagnosis_);
  }

 private:
  [[nodiscard]] const HabitOutcome& outcome(std::size_t lane) const {
    return diagnosis_.outcomes[lane - 1];
  }
  [[nodiscard]] PairedDifference between(std::size_t slower, std::size_t faster) const {
    return mean_difference(lanes_[slower].blocks, lanes_[faster].blocks, {.seed = options_.seed});
  }
  /// Few windows leave every saving possible; then the mean is all there is.
  static bool maybe_chance(const PairedDifference& saving) {
    return saving.enough() && saving.low <= 0;
  }
  [[nodiscard]] bool surely_worthwhile(const PairedDifference& saving) const {
    return saving.enough() && saving.low >= worthwhile_;
  }
  [[nodiscard]] bool surely_too_little(const PairedDifference& saving) const {
    return saving.enough() && saving.high < worthwhile_;
  }
  template <class Holds>
  [[nodiscard]] bool all_of(std::initializer_list<Habit> habits, Holds holds) const {
    for (std::size_t i = 1; i < lanes_.size(); ++i) {
      const bool asked = std::find(habits.begin(), habits.end(), lanes_[i].habit) != habits.end();
      if (asked && !holds(i)) return false;
    }
    return true;
  }

  void measure() {
    for (std::size_t i = 1; i < lanes_.size(); ++i) {
      HabitOutcome outcome{.lane = i, .saving = between(0, i), .rearrangement = {}};
      const std::uint64_t count = lanes_[i].result.decisions.rearranged;
      if (count > 0) {
        outcome.rearrangement = lanes_[i].result.exposed / static_cast<double>(count);
      }
      diagnosis_.outcomes.push_back(outcome);
    }
  }

  [[nodiscard]] std::size_t best_of(Habit habit) const {
    std::size_t best = 0;
    for (std::size_t i = 1; i < lanes_.size(); ++i) {
      if (lanes_[i].habit != habit) continue;
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

  void leave_off(std::size_t best) {
    const PairedDifference& saving = outcome(best).saving;
    diagnosis_.advice = Advice::kLeaveOff;
    diagnosis_.firm = all_of({Habit::kOnce, Habit::kEvery}, [&](std::size_t lane) {
      return surely_too_little(outcome(lane).saving);
    });
    say(fmt::format("out of sample the best habit ({}) saves {} of the step time, {}",
                    lanes_[best].name, share_text(saving, never_),
                    saving.mean < worthwhile_
                        ? fmt::format("less than the {:.1f} % that is worth the trouble",
                                      100 * options_.worthwhile)
                        : std::string("which may be chance")));
    say(fmt::format("knowing the future and moving for free would save {}",
                    share_text(outcome(best_of(Habit::kOracle)).saving, never_)));
  }

  /// Planning once pays, and no habit of planning again is seen to save that much more.
  [[nodiscard]] bool static_suffices(std::size_t once, std::size_t every) const {
    const PairedDifference& saving = outcome(once).saving;
    const PairedDifference more = between(once, every);
    return saving.mean >= worthwhile_ && !maybe_chance(saving) &&
           (more.mean < worthwhile_ || maybe_chance(more));
  }

  void static_plan(std::size_t once, std::size_t every) {
    diagnosis_.advice = Advice::kStaticPlan;
    diagnosis_.lane = once;
    diagnosis_.firm =
        surely_worthwhile(outcome(once).saving) && all_of({Habit::kEvery}, [&](std::size_t lane) {
          return surely_too_little(between(once, lane));
        });
    const PairedDifference more = between(once, every);
    say(fmt::format("one plan, made on the warm-up alone, saves {} of the step time from then on",
                    share_text(outcome(once).saving, never_)));
    say(fmt::format("planning again ({}) would save {} more, costs included: {}",
                    lanes_[every].name, share_text(more, never_),
                    more.mean < worthwhile_ ? "too little" : "no more than chance"));
  }

  void dynamic(std::size_t best, std::size_t once) {
    const std::size_t chosen = longest_as_good();
    diagnosis_.advice = Advice::kDynamic;
    diagnosis_.lane = chosen;
    diagnosis_.firm =
        surely_worthwhile(outcome(chosen).saving) &&
        (surely_worthwhile(between(once, chosen)) || surely_too_little(outcome(once).saving));
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

  /// Of the habits that plan again: the one that moves least often and is as good as the best,
  /// behind by less than a third of what is worth trouble, and maybe by chance.
  [[nodiscard]] std::size_t longest_as_good() const {
    std::vector<std::size_t> every;
    std::vector<Tradeoff> tradeoffs;
    for (std::size_t i = 1; i < lanes_.size(); ++i) {
      if (lanes_[i].habit != Habit::kEvery) continue;
      every.push_back(i);
      tradeoffs.push_back({outcome(i).saving.mean, 1 / static_cast<double>(lanes_[i].interval)});
    }
    const Ranking ranking = ranking_of(
        tradeoffs, [&](std::size_t a, std::size_t b) { return between(every[b], every[a]); });
    const auto as_good = [&](std::size_t i) {
      const PairedDifference& saving = outcome(every[i]).saving;
      return ranking.behind[i].enough() && ranking.behind[i].mean <= worthwhile_ / 3 &&
             saving.mean >= worthwhile_ && !maybe_chance(saving);
    };
    return every[cheapest_of_equals(ranking, as_good, [&](std::size_t a, std::size_t b) {
      return tradeoffs[a].cost < tradeoffs[b].cost;
    })];
  }

  /// A reason and no more: a mean over layers hides the one layer that everybody waits for.
  void mention_balance() {
    const double balancedness = lanes_.front().result.balancedness;
    const double busiest = 100 * (1 / balancedness - 1);
    const double limit = 100 * (1 / options_.balanced - 1);
    const bool even = balancedness >= options_.balanced;
    if (even && diagnosis_.advice == Advice::kLeaveOff) {
      say(fmt::format(
          "ranks are balanced as they are: the busiest has {:.0f} % more than the mean, "
          "step by step (below {:.0f} % counts as balanced)",
          busiest, limit));
    } else if (even) {
      say(fmt::format(
          "the mean over layers looks balanced (the busiest rank has {:.0f} % more than "
          "the mean); a few layers take the time",
          busiest));
    }
  }

  void mention_windows() {
    if (diagnosis_.windows >= kFewestPairs) return;
    say(fmt::format("seen in {} {} only: at least {} are needed to tell it from chance",
                    diagnosis_.windows, diagnosis_.windows == 1 ? "window" : "windows",
                    kFewestPairs));
  }

  /// All planned once, on the same warm-up.
  void compare_objectives() {
    std::vector<ObjectiveLane> lanes;
    for (const BacktestLane& lane : lanes_) {
      if (lane.habit == Habit::kObjective) lanes.push_back({lane.objective, &lane.blocks});
    }
    if (lanes.size() < 2) return;
    ObjectiveVerdict verdict = judge_objectives(lanes, Seconds(never_), options_.seed);
    diagnosis_.objectives = std::move(verdict.outcomes);
    say(std::move(verdict.text));
  }

  void say(std::string reason) { diagnosis_.reasons.push_back(std::move(reason)); }

  std::span<const BacktestLane> lanes_;
  const DiagnosisOptions& options_;
  double never_;       // mean step seconds
  double worthwhile_;  // seconds of a mean step
  Diagnosis diagnosis_;
};

}  // namespace

double noise_floor(std::size_t ranks, double pairs_per_rank) {
  if (ranks < 2 || pairs_per_rank <= 0) return 1;
  return 1 + std::sqrt(2 * std::log(static_cast<double>(ranks)) / pairs_per_rank);
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
