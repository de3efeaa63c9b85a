// SPDX-License-Identifier: Apache-2.0
#include "moeshift/trace/drift.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numbers>
#include <numeric>

#include "moeshift/core/error.hpp"
#include "moeshift/trace/statistics.hpp"

namespace moeshift {
namespace {

template <class Item>
double total_of(std::span<const Item> loads) {
  return std::accumulate(loads.begin(), loads.end(), 0.0);
}

double overlap_of(const std::vector<std::uint32_t>& a, const std::vector<std::uint32_t>& b) {
  std::vector<std::uint32_t> both;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(both));
  return static_cast<double>(both.size()) / static_cast<double>(a.size());
}

double mean_positive(double sum, std::size_t count) {
  return count == 0 ? 0 : sum / static_cast<double>(count);
}

}  // namespace

double sampling_variation(std::span<const double> shares, double before, double after) {
  if (before <= 0 || after <= 0) return 0;
  double sum = 0;
  for (const double share : shares) {
    sum += std::sqrt(share * (1 - share) * (1 / before + 1 / after));
  }
  return sum * std::sqrt(2 / std::numbers::pi) / 2;
}

DriftObserver::DriftObserver(std::size_t layers, std::size_t experts)
    : layers_(layers),
      experts_(experts),
      hot_set_(hot_set_size(experts)),
      ring_(kLongestLag + 1),
      sum_(layers, experts),
      scaled_squares_(layers, experts),
      neighbour_squares_(layers, experts) {
  for (std::size_t lag = 1; lag <= kLongestLag; lag *= 2) lags_.emplace_back();
}

void DriftObserver::add(const LoadMatrix& load) {
  MOESHIFT_CHECK(load.rows() == layers_ && load.columns() == experts_);
  Past& now = ring_[num_steps_ % ring_.size()];
  now.load.assign(load.items().begin(), load.items().end());
  now.hot.resize(layers_);
  for (const LayerId layer : load.row_ids()) {
    now.hot[layer.index()] = hottest_experts(load.row(layer), hot_set_);
  }
  disperse(load);
  std::size_t stride = 1;
  while (num_steps_ / stride >= 2 * kDensePairs) stride *= 2;
  if (num_steps_ % stride == 0) {
    std::size_t lag = 1;
    for (LagSums& sums : lags_) {
      if (lag <= num_steps_) compare(ring_[(num_steps_ - lag) % ring_.size()], now, lag, sums);
      lag *= 2;
    }
  }
  ++num_steps_;
}

void DriftObserver::disperse(const LoadMatrix& load) {
  for (const LayerId layer : load.row_ids()) {
    const auto row = load.row(layer);
    const double total = total_of(row);
    if (total <= 0) continue;
    for (std::size_t e = 0; e < experts_; ++e) {
      sum_.row(layer)[e] += row[e];
      scaled_squares_.row(layer)[e] += row[e] * row[e] / total;
    }
  }
}

void DriftObserver::compare(const Past& before, const Past& now, std::size_t lag, LagSums& sums) {
  double overlap = 0;
  double variation = 0;
  double sampling = 0;
  std::vector<double> pooled(experts_);
  for (std::size_t layer = 0; layer < layers_; ++layer) {
    const auto then_row = std::span(before.load).subspan(layer * experts_, experts_);
    const auto now_row = std::span(now.load).subspan(layer * experts_, experts_);
    const double then_total = total_of(then_row);
    const double now_total = total_of(now_row);
    overlap += overlap_of(before.hot[layer], now.hot[layer]);
    if (then_total <= 0 || now_total <= 0) continue;
    const double noise = 1 / then_total + 1 / now_total;
    double distance = 0;
    for (std::size_t e = 0; e < experts_; ++e) {
      const double difference = now_row[e] / now_total - then_row[e] / then_total;
      distance += std::abs(difference);
      pooled[e] = (static_cast<double>(then_row[e]) + now_row[e]) / (then_total + now_total);
      if (lag == 1) {
        neighbour_squares_.items()[layer * experts_ + e] += difference * difference / noise;
      }
    }
    variation += distance / 2;
    sampling += sampling_variation(pooled, then_total, now_total);
  }
  const auto layers = static_cast<double>(layers_);
  ++sums.pairs;
  sums.overlap += overlap / layers;
  sums.variation += variation / layers;
  sums.sampling += sampling / layers;
  if (lag != 1) return;
  ++neighbours_;
  step_variation_.push_back(variation / layers);
  step_positions_.push_back(num_steps_);
}

TrafficDrift DriftObserver::finish() const {
  TrafficDrift drift;
  drift.num_steps = num_steps_;
  drift.hot_set = hot_set_;
  std::size_t lag = 1;
  for (const LagSums& sums : lags_) {
    // Far lags of short traces rest on few pairs of the same steps.
    if (sums.pairs > 0 && (lag == 1 || 2 * lag <= num_steps_)) {
      drift.lags.push_back({lag, sums.pairs, mean_positive(sums.overlap, sums.pairs),
                            static_cast<double>(hot_set_) / static_cast<double>(experts_),
                            mean_positive(sums.variation, sums.pairs),
                            mean_positive(sums.sampling, sums.pairs)});
    }
    lag *= 2;
  }
  for (const LayerId layer : sum_.row_ids()) {
    const double total = layer_total(sum_, layer);
    double around_mean = 0;
    double between = 0;
    for (std::size_t e = 0; e < experts_; ++e) {
      const double share = total > 0 ? sum_.row(layer)[e] / total : 0;
      if (share <= 0) continue;
      around_mean += scaled_squares_.row(layer)[e] / share - sum_.row(layer)[e];
      between += neighbour_squares_.row(layer)[e] / share;
    }
    const auto freedom = static_cast<double>(experts_ - 1);
    const bool told = num_steps_ > 1 && total > 0 && experts_ > 1;
    drift.dispersion.push_back(told ? around_mean / freedom / static_cast<double>(num_steps_ - 1)
                                    : 0);
    drift.step_dispersion.push_back(
        told && neighbours_ > 0 ? between / freedom / static_cast<double>(neighbours_) : 0);
  }
  if (step_variation_.empty()) return drift;
  std::vector<double> sorted = step_variation_;
  std::sort(sorted.begin(), sorted.end());
  drift.median_step_variation = sorted[sorted.size() / 2];
  drift.largest_step_variation = sorted.back();
  if (step_variation_.size() < 3) return drift;
  for (std::size_t i = 0; i < step_variation_.size(); ++i) {
    if (drift.abrupt_steps.size() == TrafficDrift::kMostAbrupt) break;
    if (step_variation_[i] > TrafficDrift::kAbrupt * drift.median_step_variation) {
      drift.abrupt_steps.push_back(step_positions_[i]);
    }
  }
  return drift;
}

}  // namespace moeshift
