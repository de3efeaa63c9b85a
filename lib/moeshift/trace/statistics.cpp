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

void TraceObserver::Sighting::see(std::int64_t at_step, std::size_t at_layer, double how_bad) {
  if (count == 0) {
    step = at_step;
    layer = at_layer;
  }
  ++count;
  value = std::max(value, how_bad);
}

TraceObserver::TraceObserver(const TraceHeader& header)
    : header_(header),
      hot_set_(hot_set_size(header.num_experts)),
      sum_(header.num_layers, header.num_experts),
      last_hot_(header.num_layers),
      imbalance_sum_(header.num_layers, 0.0),
      variation_sum_(header.num_layers, 0.0),
      overlap_sum_(header.num_layers, 0.0) {}

void TraceObserver::add(const TraceStep& step) {
  MOESHIFT_CHECK(step.load.rows() == header_.num_layers &&
                 step.load.columns() == header_.num_experts);
  std::vector<double> totals;
  for (const LayerId layer : step.load.row_ids()) {
    const auto row = step.load.row(layer);
    totals.push_back(total_of(row));
    check_layer(step, layer, totals.back());
    imbalance_sum_[layer.index()] += expert_imbalance(row);
    std::transform(row.begin(), row.end(), sum_.row(layer).begin(), sum_.row(layer).begin(),
                   std::plus<>());
  }
  check_totals(step, totals);
  compare(step);
  ascending_ = ascending_ && step.step > last_step_;
  last_step_ = step.step;
  last_ = step.load;
  ++num_steps_;
}

void TraceObserver::check_layer(const TraceStep& step, LayerId layer, double total) {
  if (total <= 0) {
    empty_.see(step.step, layer.index(), 0);
    return;
  }
  if (!header_.top_k) return;
  const auto top_k = static_cast<double>(*header_.top_k);
  if (std::fmod(total, top_k) != 0) indivisible_.see(step.step, layer.index(), 0);
  const auto row = step.load.row(layer);
  const double rate = *std::max_element(row.begin(), row.end()) * top_k / total;
  if (rate > 1) above_ceiling_.see(step.step, layer.index(), rate);
}

void TraceObserver::check_totals(const TraceStep& step, std::span<const double> totals) {
  double smallest = 0;
  double largest = 0;
  for (const double total : totals) {
    if (total <= 0) continue;
    smallest = smallest > 0 ? std::min(smallest, total) : total;
    largest = std::max(largest, total);
  }
  if (largest > smallest) unequal_.see(step.step, 0, (largest - smallest) / largest);
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
  if (num_steps_ == 0) return;
  drift_.push_back(drift);
  const auto now = step.load.items();
  only_grows_ = only_grows_ && std::equal(now.begin(), now.end(), last_.items().begin(),
                                          [](double a, double b) { return a >= b; });
}

TraceStatistics TraceObserver::finish() const {
  TraceStatistics statistics;
  statistics.num_steps = num_steps_;
  statistics.hot_set = hot_set_;
  statistics.drift = drift_;
  statistics.warnings = warnings();
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

std::string TraceObserver::layer_name(std::size_t layer) const {
  if (header_.layer_ids.empty()) return fmt::format("layer {}", layer);
  return fmt::format("layer {}", header_.layer_ids[layer]);
}

std::vector<TraceWarning> TraceObserver::warnings() const {
  std::vector<TraceWarning> found;
  const auto first = [&](const Sighting& s) {
    return fmt::format("first in step {}, {}", s.step, layer_name(s.layer));
  };
  if (!header_.top_k) {
    found.push_back({"top_k_unknown", "the header does not state top_k",
                     "add \"top_k\" to it, so that the totals can be checked against it"});
  }
  if (indivisible_.count > 0) {
    found.push_back({"top_k_divisibility",
                     fmt::format("{} layer totals are not divisible by top_k = {} ({})",
                                 indivisible_.count, *header_.top_k, first(indivisible_)),
                     "check top_k; if it is right the recorder lost counts, drop those steps"});
  }
  if (above_ceiling_.count > 0) {
    found.push_back(
        {"top_k_ceiling",
         fmt::format("an expert is chosen up to {:.2f} times per token in {} layers of steps ({})",
                     above_ceiling_.value, above_ceiling_.count, first(above_ceiling_)),
         "check top_k; loads may also be per rank or weighted, record assignments instead"});
  }
  if (unequal_.count > 0) {
    found.push_back({"unequal_totals",
                     fmt::format("layers of one step differ in total by up to {:.3g} % in {} steps "
                                 "(first in step {})",
                                 100 * unequal_.value, unequal_.count, unequal_.step),
                     unequal_.value < 1e-3
                         ? "a recorder stopped in the middle of a pass; harmless at this size"
                         : "check that all layers are counted over the same tokens"});
  }
  if (empty_.count > 0) {
    found.push_back(
        {"empty_layers",
         fmt::format("{} layers of steps have no load at all ({})", empty_.count, first(empty_)),
         "drop warm-up steps with --windows; a dense layer does not belong in a trace"});
  }
  if (only_grows_ && num_steps_ >= 4) {
    found.push_back({"cumulative", "no count ever falls from one step to the next",
                     "the recorder writes running totals: subtract each step from the next"});
  }
  if (!ascending_) {
    found.push_back({"step_order", "step numbers do not ascend",
                     "a ring buffer was dumped as it lay, or files were joined: sort by step"});
  }
  return found;
}

}  // namespace moeshift
