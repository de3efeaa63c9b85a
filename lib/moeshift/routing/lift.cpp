// SPDX-License-Identifier: Apache-2.0
#include "moeshift/routing/lift.hpp"

#include <algorithm>
#include <cmath>
#include <tuple>

namespace moeshift {
namespace {

constexpr double kWorthListing = 1e-3;  ///< share of tokens

/// What chance would do.
class Chance {
 public:
  explicit Chance(const PairCounts& pairs) : pairs_(pairs) {
    double meetings = 0;
    double sum = 0;
    double squares = 0;
    for (std::size_t a = 0; a < pairs.experts(); ++a) {
      const double own = pairs(a, a);
      sum += own;
      squares += own * own;
      for (std::size_t b = a + 1; b < pairs.experts(); ++b) meetings += pairs(a, b);
    }
    const double products = (sum * sum - squares) / 2;
    scale_ = products > 0 ? meetings / products : 0;
  }
  [[nodiscard]] double lift(std::size_t a, std::size_t b) const {
    const double expected = scale_ * pairs_(a, a) * pairs_(b, b);
    return (pairs_(a, b) + 1) / (expected + 1);
  }

 private:
  const PairCounts& pairs_;
  double scale_ = 0;
};

double correlation(const std::vector<double>& x, const std::vector<double>& y) {
  const auto n = static_cast<double>(x.size());
  double mx = 0;
  double my = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    mx += x[i] / n;
    my += y[i] / n;
  }
  double xx = 0;
  double yy = 0;
  double xy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    xx += (x[i] - mx) * (x[i] - mx);
    yy += (y[i] - my) * (y[i] - my);
    xy += (x[i] - mx) * (y[i] - my);
  }
  return xx > 0 && yy > 0 ? xy / std::sqrt(xx * yy) : 0;
}

std::vector<double> log_lifts(const PairCounts& pairs) {
  const Chance chance(pairs);
  std::vector<double> logs;
  for (std::size_t a = 0; a < pairs.experts(); ++a) {
    for (std::size_t b = a + 1; b < pairs.experts(); ++b)
      logs.push_back(std::log(chance.lift(a, b)));
  }
  return logs;
}

bool stronger(const ExpertPair& x, const ExpertPair& y) {
  return std::tuple(-x.lift, x.layer, x.a, x.b) < std::tuple(-y.lift, y.layer, y.a, y.b);
}

LayerLift of_layer(const LayerTogether& together, std::size_t layer, std::size_t most_pairs,
                   std::vector<ExpertPair>& found) {
  const PairCounts& pairs = together.pairs;
  const Chance chance(pairs);
  LayerLift result{0, 0, 0};
  std::vector<double> best(pairs.experts(), 1);
  double meetings = 0;
  double strong = 0;
  for (std::size_t a = 0; a < pairs.experts(); ++a) {
    for (std::size_t b = a + 1; b < pairs.experts(); ++b) {
      const double lift = chance.lift(a, b);
      best[a] = std::max(best[a], lift);
      best[b] = std::max(best[b], lift);
      meetings += pairs(a, b);
      if (lift >= 2) strong += pairs(a, b);
      const double share =
          pairs(a, b) / static_cast<double>(std::max<std::uint64_t>(1, together.tokens));
      if (share >= kWorthListing) found.push_back({layer, a, b, share, lift});
    }
    if (found.size() < 4 * most_pairs + 64) continue;
    std::nth_element(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(most_pairs),
                     found.end(), stronger);
    found.resize(most_pairs);
  }
  double chosen = 0;
  for (std::size_t e = 0; e < pairs.experts(); ++e) {
    result.mean_best += best[e] * pairs(e, e);
    chosen += pairs(e, e);
  }
  result.mean_best = chosen > 0 ? result.mean_best / chosen : 1;
  result.above_two = meetings > 0 ? strong / meetings : 0;
  return result;
}

}  // namespace

Lift lift_of(const RouteSummary& routes, std::size_t most_pairs) {
  Lift lift;
  const std::vector<LayerTogether> all = joined_windows(routes);
  for (std::size_t l = 0; l < all.size(); ++l) {
    lift.layers.push_back(of_layer(all[l], l, most_pairs, lift.pairs));
  }
  std::sort(lift.pairs.begin(), lift.pairs.end(), stronger);
  if (lift.pairs.size() > most_pairs) lift.pairs.resize(most_pairs);
  const std::size_t windows = routes.windows.size();
  if (windows < 2) return lift;
  const auto first = joined_windows(routes, windows / 2, windows);
  const auto second = joined_windows(routes, 0, windows / 2);
  for (std::size_t l = 0; l < all.size(); ++l) {
    lift.layers[l].stability = correlation(log_lifts(first[l].pairs), log_lifts(second[l].pairs));
  }
  return lift;
}

}  // namespace moeshift
