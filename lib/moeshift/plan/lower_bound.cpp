// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/lower_bound.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <functional>
#include <numeric>
#include <utility>
#include <vector>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

/// Rounding must never turn into a false certificate.
constexpr double kSafety = 1 - 1e-12;

/// Replicas that bring a load to at most `share` each; errs on the low side.
double replicas_for(double load, double share) {
  return std::max(1.0, std::ceil(load / share * kSafety - 1e-12));
}

/// Loads heaviest first, with the sums that prefix_bound asks for again and again.
struct SortedLoad {
  std::vector<double> heaviest;  ///< heaviest[a] = sum of the a heaviest
  std::vector<double> lightest;  ///< lightest[q] = sum of the q lightest
};

SortedLoad sorted_sums(std::span<const double> load) {
  std::vector<double> sorted(load.begin(), load.end());
  std::sort(sorted.begin(), sorted.end(), std::greater<>{});
  SortedLoad sums{std::vector<double>(load.size() + 1, 0), std::vector<double>(load.size() + 1, 0)};
  std::partial_sum(sorted.begin(), sorted.end(), sums.heaviest.begin() + 1);
  std::partial_sum(sorted.rbegin(), sorted.rend(), sums.lightest.begin() + 1);
  return sums;
}

/// The least load that the busiest of m ranks has, when `replicas` replicas of weight `hot` in all
/// and their companions fill them, `extras` extras being elsewhere; minimised over m, or any value
/// up to `low_enough`.
double lightest_filling(const SortedLoad& sums, double hot, std::size_t replicas,
                        std::size_t extras, std::size_t ranks, std::size_t slots_per_rank,
                        double low_enough) {
  const auto value = [&](std::size_t m) {
    const std::size_t others = slots_per_rank * m - replicas;
    return (hot + sums.lightest[others > extras ? others - extras : 0]) / static_cast<double>(m);
  };
  // Numerator convex in m over m: quasi-convex, so the minimum is where it stops falling.
  std::size_t low = (replicas + slots_per_rank - 1) / slots_per_rank;
  std::size_t high = std::min(replicas, ranks);
  // Most prefixes bound nothing, which all ranks or all but one show.
  for (const std::size_t m : {high, std::max(high - 1, low)}) {
    if (const double quick = value(m); quick <= low_enough) return quick;
  }
  while (low < high) {
    const std::size_t middle = (low + high) / 2;
    (value(middle) <= value(middle + 1) ? high : low) =
        value(middle) <= value(middle + 1) ? middle : middle + 1;
  }
  return value(low);
}

}  // namespace

double mean_bound(std::span<const double> load, std::size_t ranks, std::size_t slots) {
  MOESHIFT_CHECK(!load.empty() && ranks > 0 && slots >= load.size());
  const double mean = std::accumulate(load.begin(), load.end(), 0.0) / static_cast<double>(ranks);
  const double hottest = *std::max_element(load.begin(), load.end());
  const std::size_t most_replicas = slots - load.size() + 1;
  return std::max(mean, hottest / static_cast<double>(most_replicas));
}

double prefix_bound(std::span<const double> load, std::size_t ranks, std::size_t slots) {
  double best = mean_bound(load, ranks, slots);
  const SortedLoad sums = sorted_sums(load);
  const std::size_t extras = slots - load.size();
  for (std::size_t a = 1; a <= load.size(); ++a) {
    double least = sums.heaviest[a];
    for (std::size_t outside = 0; outside <= extras && least > best; ++outside) {
      if (a == load.size() && outside > 0) break;
      least = std::min(least, lightest_filling(sums, sums.heaviest[a], a + extras - outside,
                                               outside, ranks, slots / ranks, best));
    }
    best = std::max(best, least);
  }
  return best * kSafety;
}

namespace {

/// The sum of the `count` lightest companions that can be had below `threshold`.
double lightest_companions(std::span<const double> load, std::span<const double> needed,
                           double extras, std::size_t slots_per_rank) {
  const auto count = static_cast<double>(slots_per_rank) - 1 - extras;
  if (count < 1) return 0;
  std::vector<double> companions;
  for (std::size_t e = 0; e < load.size(); ++e) {
    if (needed[e] < 2) {
      companions.push_back(load[e]);
    } else {
      companions.insert(companions.end(), slots_per_rank - 1, load[e] / (needed[e] + extras));
    }
  }
  const auto taken = std::min(static_cast<std::size_t>(count), companions.size());
  std::partial_sort(companions.begin(), companions.begin() + static_cast<std::ptrdiff_t>(taken),
                    companions.end());
  return std::accumulate(companions.begin(),
                         companions.begin() + static_cast<std::ptrdiff_t>(taken), 0.0);
}

bool impossible_with_companions(std::span<const double> load, std::size_t ranks, std::size_t slots,
                                double threshold) {
  std::vector<double> needed(load.size());
  for (std::size_t e = 0; e < load.size(); ++e) needed[e] = replicas_for(load[e], threshold);
  const double need = std::accumulate(needed.begin(), needed.end(), 0.0);
  const auto have = static_cast<double>(slots);
  if (need > have) return true;
  const double room =
      threshold - lightest_companions(load, needed, have - need, slots / ranks) * kSafety;
  if (room <= 0) return true;
  double all = 0;
  for (const double tokens : load) all += replicas_for(tokens, room);
  return all > have;
}

/// The largest threshold in [known, ceiling] that bisection proves impossible.
double bisect(double known, double ceiling, int steps,
              const std::function<bool(double)>& impossible) {
  double high = std::max(known, ceiling);
  for (int i = 0; i < steps && high > known * (1 + 1e-6); ++i) {
    const double middle = (known + high) / 2;
    (impossible(middle) ? known : high) = middle;
  }
  return known;
}

/// The counts among which every expert chooses for one (T, x): the fewest replicas that make it
/// big (needs a small partner), middle, or small; kNever = no such count. [experts, rounded up to
/// whole lanes] each.
struct PairChoices {
  std::vector<double> big, middle, small;
};
constexpr double kNever = 1e18;
constexpr double kProof = 1e-6;  ///< a dual value above proves a threshold impossible
constexpr std::size_t kLanes = 4;

/// The dual function of one (T, x) at mu, and its slope there.
struct Dual {
  double value = 0;
  double slope = 0;
};

/// In partial sums, so that compilers turn it into vector instructions: most of a bound's time.
Dual dual_at(const PairChoices& choices, double mu, double slots) {
  std::array<double, kLanes> value{};
  std::array<double, kLanes> slope{};
  for (std::size_t e = 0; e < choices.big.size(); e += kLanes) {
    for (std::size_t i = 0; i < kLanes; ++i) {
      const double big = (mu + 1) * choices.big[e + i];
      const double middle = mu * choices.middle[e + i];
      const double small = (mu - 1) * choices.small[e + i];
      const double rest = middle < small ? middle : small;
      const double of_rest = middle < small ? choices.middle[e + i] : choices.small[e + i];
      value[i] += big < rest ? big : rest;
      slope[i] += big < rest ? choices.big[e + i] : of_rest;
    }
  }
  return {.value = (value[0] + value[1]) + (value[2] + value[3]) - mu * slots,
          .slope = (slope[0] + slope[1]) + (slope[2] + slope[3]) - slots};
}

/// The most of the dual function over mu in [1, 10], or as much of it as tells its sign: concave,
/// so that tangents on both sides say where to look next and what cannot be exceeded.
double most_of_dual(const PairChoices& choices, double slots) {
  double low = 1.001;  // at 1 a count that is not to be had would cost nothing
  double high = 10;
  Dual at_low = dual_at(choices, low, slots);
  Dual at_high = dual_at(choices, high, slots);
  double most = std::max(at_low.value, at_high.value);
  for (int i = 0; i < 12 && most <= kProof; ++i) {
    if (at_low.slope <= 0 || at_high.slope >= 0) break;
    const double mu = (at_high.value - at_low.value + at_low.slope * low - at_high.slope * high) /
                      (at_low.slope - at_high.slope);
    const double ceiling = at_low.value + at_low.slope * (mu - low);
    if (ceiling <= kProof || mu <= low || mu >= high) break;
    const Dual at_mu = dual_at(choices, mu, slots);
    most = std::max(most, at_mu.value);
    (at_mu.slope > 0 ? low : high) = mu;
    (at_mu.slope > 0 ? at_low : at_high) = at_mu;
  }
  return most;
}

/// replicas_for, without a call per expert.
double quick_replicas(double load, double share) {
  const double exact = load / share * kSafety - 1e-12;
  const double whole = static_cast<double>(static_cast<std::int32_t>(std::min(exact, 2e9)));
  return std::max(1.0, whole < exact ? whole + 1 : whole);
}

/// All that the dual functions of one threshold have in common.
class PairThreshold {
 public:
  PairThreshold(std::span<const double> load, double threshold, double cap)
      : load_(load), threshold_(threshold), cap_(cap), whole_(load.size()) {
    for (std::size_t e = 0; e < load.size(); ++e) whole_[e] = quick_replicas(load[e], threshold);
    const std::size_t padded = (load.size() + kLanes - 1) / kLanes * kLanes;
    for (auto* counts : {&choices_.big, &choices_.middle, &choices_.small}) {
      counts->assign(padded, 0);
    }
  }

  /// How far x proves the threshold impossible: it does where this is above kProof.
  /// @param small [experts] replicas that bring every load to at most x.
  double proof(double x, std::span<const double> small, double slots) {
    if (x >= threshold_ / 2) return -kNever;
    for (std::size_t e = 0; e < load_.size(); ++e) {
      const double middle = quick_replicas(load_[e], threshold_ - x);
      choices_.big[e] = whole_[e] < middle ? whole_[e] : kNever;
      choices_.middle[e] = middle < small[e] ? middle : kNever;
      choices_.small[e] = small[e] <= cap_ ? small[e] : kNever;
    }
    return most_of_dual(choices_, slots);
  }

 private:
  std::span<const double> load_;
  double threshold_;
  double cap_;
  std::vector<double> whole_;
  PairChoices choices_;
};

/// The x to try, and what bringing every load to at most x takes.
struct PairGrid {
  std::vector<double> x;
  std::vector<std::vector<double>> small;  ///< [x][experts]
};

/// Looks for an x that proves a threshold impossible: at every eighth, then ever nearer around the
/// best three, which finds nearly all that looking everywhere would. The best x moves little with
/// the threshold: what proved the one before proves the next at the first look more often than not.
class PairSearch {
 public:
  PairSearch(const PairGrid& grid, double slots) : grid_(grid), slots_(slots) {}

  bool impossible(PairThreshold threshold) {
    looks_.clear();
    for (const std::size_t at : std::exchange(best_, {})) {
      if (look(threshold, at)) return true;
    }
    for (std::size_t at = kStride / 2; at < grid_.x.size(); at += kStride) {
      if (look(threshold, at)) return true;
    }
    for (std::size_t step = kStride / 2; step > 0 && !looks_.empty(); step /= 2) {
      keep_best();
      for (const auto& [value, at] : std::vector(looks_)) {
        if (at >= step && look(threshold, at - step)) return true;
        if (at + step < grid_.x.size() && look(threshold, at + step)) return true;
      }
    }
    remember();
    return false;
  }

 private:
  static constexpr std::size_t kStride = 8;

  bool look(PairThreshold& threshold, std::size_t at) {
    looks_.emplace_back(threshold.proof(grid_.x[at], grid_.small[at], slots_), at);
    if (looks_.back().first <= kProof) return false;
    remember();
    return true;
  }
  /// Where the next threshold is looked at first.
  void remember() {
    keep_best();
    best_.clear();
    for (const auto& [value, at] : looks_) best_.push_back(at);
  }
  void keep_best() {
    std::sort(looks_.begin(), looks_.end(), std::greater<>{});
    looks_.erase(std::unique(looks_.begin(), looks_.end()), looks_.end());
    looks_.resize(std::min<std::size_t>(looks_.size(), 3));
  }

  const PairGrid& grid_;
  double slots_;
  std::vector<std::size_t> best_;                      ///< of the threshold before
  std::vector<std::pair<double, std::size_t>> looks_;  ///< how far each proves, and where
};

/// Where the dual functions may change: shares w / j, at most `count` of them, evenly picked.
std::vector<double> share_grid(std::span<const double> load, std::size_t extras,
                               std::size_t count) {
  std::vector<double> shares;
  for (const double tokens : load) {
    for (std::size_t j = 1; j <= std::min<std::size_t>(extras + 1, 8) && tokens > 0; ++j) {
      shares.push_back(tokens / static_cast<double>(j));
    }
  }
  std::sort(shares.begin(), shares.end());
  std::vector<double> grid;
  const double stride =
      std::max(1.0, static_cast<double>(shares.size()) / static_cast<double>(count));
  for (double i = 0; i < static_cast<double>(shares.size()); i += stride) {
    grid.push_back(shares[static_cast<std::size_t>(i)]);
  }
  return grid;
}

}  // namespace

double companion_bound(std::span<const double> load, std::size_t ranks, std::size_t slots,
                       double known, double ceiling) {
  return bisect(known, ceiling, 16, [&](double threshold) {
    return impossible_with_companions(load, ranks, slots, threshold);
  });
}

double pair_bound(std::span<const double> load, std::size_t ranks, std::size_t slots, double known,
                  double ceiling) {
  MOESHIFT_CHECK(slots == 2 * ranks);
  const auto have = static_cast<double>(slots);
  const double cap = static_cast<double>(slots - load.size() + 1);
  PairGrid grid{.x = share_grid(load, slots - load.size(), 160), .small = {}};
  for (const double x : grid.x) {
    std::vector<double> small;
    for (const double tokens : load) small.push_back(quick_replicas(tokens, x));
    grid.small.push_back(std::move(small));
  }
  PairSearch search(grid, have);
  return bisect(known, ceiling, 7, [&](double threshold) {
    return search.impossible(PairThreshold(load, threshold, cap));
  });
}

double lower_bound(std::span<const double> load, std::size_t ranks, std::size_t slots) {
  return prefix_bound(load, ranks, slots);
}

double tight_lower_bound(std::span<const double> load, std::size_t ranks, std::size_t slots,
                         double ceiling) {
  double bound = prefix_bound(load, ranks, slots);
  if (bound <= 0) return bound;
  bound = companion_bound(load, ranks, slots, bound, ceiling);
  if (slots == 2 * ranks) bound = pair_bound(load, ranks, slots, bound, ceiling);
  return std::min(bound, ceiling);
}

}  // namespace moeshift
