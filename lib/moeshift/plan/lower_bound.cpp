// SPDX-License-Identifier: Apache-2.0
#include "moeshift/plan/lower_bound.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
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
/// and their companions fill them, `extras` extras being elsewhere; minimised over m.
double lightest_filling(const SortedLoad& sums, double hot, std::size_t replicas,
                        std::size_t extras, std::size_t ranks, std::size_t slots_per_rank) {
  const auto value = [&](std::size_t m) {
    const std::size_t others = slots_per_rank * m - replicas;
    return (hot + sums.lightest[others > extras ? others - extras : 0]) / static_cast<double>(m);
  };
  // Numerator convex in m over m: quasi-convex, so the minimum is where it stops falling.
  std::size_t low = (replicas + slots_per_rank - 1) / slots_per_rank;
  std::size_t high = std::min(replicas, ranks);
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
                                               outside, ranks, slots / ranks));
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
/// big (needs a small partner), middle, or small; 0 = no such count.
struct PairChoices {
  std::vector<double> big, middle, small;
};

PairChoices choices_of(std::span<const double> load, double threshold, double x, double cap) {
  PairChoices choices;
  for (const double tokens : load) {
    const double big = replicas_for(tokens, threshold);
    const double middle = replicas_for(tokens, threshold - x);
    const double small = replicas_for(tokens, x);
    choices.big.push_back(big < middle ? big : 0);
    choices.middle.push_back(middle < small ? middle : 0);
    choices.small.push_back(small <= cap ? small : 0);
  }
  return choices;
}

double dual_value(const PairChoices& choices, double mu, double slots) {
  constexpr double kNever = 1e18;
  double sum = -mu * slots;
  for (std::size_t e = 0; e < choices.big.size(); ++e) {
    const double big = choices.big[e] > 0 ? (mu + 1) * choices.big[e] : kNever;
    const double middle = choices.middle[e] > 0 ? mu * choices.middle[e] : kNever;
    const double small = choices.small[e] > 0 ? (mu - 1) * choices.small[e] : kNever;
    sum += std::min({big, middle, small});
  }
  return sum;
}

/// Concave in mu: ternary search.
bool impossible_for_some_mu(const PairChoices& choices, double slots) {
  double low = 1;
  double high = 10;
  for (int i = 0; i < 10; ++i) {
    const double left = low + (high - low) / 3;
    const double right = high - (high - low) / 3;
    const double at_left = dual_value(choices, left, slots);
    const double at_right = dual_value(choices, right, slots);
    if (std::max(at_left, at_right) > 1e-6) return true;
    (at_left < at_right ? low : high) = at_left < at_right ? left : right;
  }
  return false;
}

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
  const std::vector<double> grid = share_grid(load, slots - load.size(), 160);
  return bisect(known, ceiling, 12, [&](double threshold) {
    for (const double x : grid) {
      if (x >= threshold / 2) return false;
      if (impossible_for_some_mu(choices_of(load, threshold, x, cap), have)) return true;
    }
    return false;
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
