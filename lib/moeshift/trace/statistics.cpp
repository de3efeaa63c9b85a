// SPDX-License-Identifier: Apache-2.0
#include "moeshift/trace/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>

#include <fmt/format.h>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

double total_of(std::span<const double> loads) {
  return std::accumulate(loads.begin(), loads.end(), 0.0);
}

}  // namespace

double expert_imbalance(std::span<const double> loads) {
  const double total = total_of(loads);
  if (total <= 0) return 0;
  return *std::max_element(loads.begin(), loads.end()) * static_cast<double>(loads.size()) / total;
}

double gini(std::span<const double> loads) {
  const double total = total_of(loads);
  if (total <= 0) return 0;
  std::vector<double> sorted(loads.begin(), loads.end());
  std::sort(sorted.begin(), sorted.end());
  double weighted = 0;
  for (std::size_t i = 0; i < sorted.size(); ++i)
    weighted += static_cast<double>(i + 1) * sorted[i];
  const auto n = static_cast<double>(sorted.size());
  return 2 * weighted / (n * total) - (n + 1) / n;
}

double coefficient_of_variation(std::span<const double> loads) {
  const double total = total_of(loads);
  if (total <= 0) return 0;
  const double mean = total / static_cast<double>(loads.size());
  double squares = 0;
  for (const double load : loads) squares += (load - mean) * (load - mean);
  return std::sqrt(squares / static_cast<double>(loads.size())) / mean;
}

double total_variation(std::span<const double> before, std::span<const double> after) {
  const double total_before = total_of(before);
  const double total_after = total_of(after);
  if (total_before <= 0 || total_after <= 0) return 0;
  double difference = 0;
  for (std::size_t e = 0; e < before.size(); ++e) {
    difference += std::abs(before[e] / total_before - after[e] / total_after);
  }
  return difference / 2;
}

std::vector<std::uint32_t> hottest_experts(std::span<const double> loads, std::size_t count) {
  std::vector<std::uint32_t> experts(loads.size());
  std::iota(experts.begin(), experts.end(), 0U);
  const auto end = experts.begin() + static_cast<std::ptrdiff_t>(std::min(count, loads.size()));
  std::partial_sort(experts.begin(), end, experts.end(), [&](std::uint32_t a, std::uint32_t b) {
    return loads[a] != loads[b] ? loads[a] > loads[b] : a < b;
  });
  experts.erase(end, experts.end());
  std::sort(experts.begin(), experts.end());
  return experts;
}

std::size_t hot_set_size(std::size_t num_experts) {
  return std::clamp<std::size_t>(num_experts / 4, 1, 8);
}

TraceObserver::TraceObserver(const TraceHeader& header)
    : header_(header),
      doubts_(header),
      hot_set_(hot_set_size(header.num_experts)),
      sum_(header.num_layers, header.num_experts),
      last_hot_(header.num_layers),
      imbalance_sum_(header.num_layers, 0.0),
      variation_sum_(header.num_layers, 0.0),
      overlap_sum_(header.num_layers, 0.0) {}

void TraceObserver::add(const TraceStep& step) {
  MOESHIFT_CHECK(step.load.rows() == header_.num_layers &&
                 step.load.columns() == header_.num_experts);
  doubts_.add(step);
  for (const LayerId layer : step.load.row_ids()) {
    const auto row = step.load.row(layer);
    imbalance_sum_[layer.index()] += expert_imbalance(row);
    std::transform(row.begin(), row.end(), sum_.row(layer).begin(), sum_.row(layer).begin(),
                   std::plus<>());
  }
  compare(step);
  last_ = step.load;
  ++num_steps_;
}

void TraceObserver::compare(const TraceStep& step) {
  StepDrift drift{0, 0};
  const auto layers = static_cast<double>(header_.num_layers);
  for (const LayerId layer : step.load.row_ids()) {
    const auto row = step.load.row(layer);
    std::vector<std::uint32_t>& before = last_hot_[layer.index()];
    std::vector<std::uint32_t> hot = hottest_experts(row, hot_set_);
    if (num_steps_ > 0) {
      std::vector<std::uint32_t> stayed;
      std::set_intersection(before.begin(), before.end(), hot.begin(), hot.end(),
                            std::back_inserter(stayed));
      const double overlap = static_cast<double>(stayed.size()) / static_cast<double>(hot_set_);
      const double variation = total_variation(last_.row(layer), row);
      variation_sum_[layer.index()] += variation;
      overlap_sum_[layer.index()] += overlap;
      drift.variation += variation / layers;
      drift.hot_overlap += overlap / layers;
    }
    before = std::move(hot);
  }
  if (num_steps_ > 0) drift_.push_back(drift);
}

TraceStatistics TraceObserver::finish() const {
  TraceStatistics statistics;
  statistics.num_steps = num_steps_;
  statistics.hot_set = hot_set_;
  statistics.drift = drift_;
  statistics.warnings = doubts_.warnings();
  const double steps = std::max(1.0, static_cast<double>(num_steps_));
  const double pairs = std::max(1.0, static_cast<double>(drift_.size()));
  double assignments = 0;
  for (const LayerId layer : sum_.row_ids()) {
    const auto row = sum_.row(layer);
    const std::size_t l = layer.index();
    LayerStatistics of_layer;
    of_layer.tokens = total_of(row);
    of_layer.imbalance = expert_imbalance(row);
    of_layer.gini = gini(row);
    of_layer.cv = coefficient_of_variation(row);
    of_layer.idle_experts = static_cast<std::size_t>(std::count(row.begin(), row.end(), 0.0));
    of_layer.step_imbalance = imbalance_sum_[l] / steps;
    of_layer.step_variation = variation_sum_[l] / pairs;
    of_layer.step_hot_overlap = drift_.empty() ? 1 : overlap_sum_[l] / pairs;
    of_layer.expert_load.assign(row.begin(), row.end());
    assignments += of_layer.tokens;
    statistics.layers.push_back(std::move(of_layer));
  }
  if (header_.top_k) {
    statistics.tokens =
        assignments / static_cast<double>(header_.num_layers) / static_cast<double>(*header_.top_k);
  }
  return statistics;
}

}  // namespace moeshift
