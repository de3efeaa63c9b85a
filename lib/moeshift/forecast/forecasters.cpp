// SPDX-License-Identifier: Apache-2.0
#include "moeshift/forecast/forecasters.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <utility>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

/// Mean over layers of the share of tokens that came elsewhere than forecast, twice over.
double share_missed(const LoadMatrix& forecast, const LoadMatrix& came) {
  const auto sum = [](std::span<const double> row) {
    return std::max(std::accumulate(row.begin(), row.end(), 0.0), 1e-300);
  };
  double missed = 0;
  for (const LayerId layer : came.row_ids()) {
    const std::span<const double> expected = forecast.row(layer);
    const std::span<const double> seen = came.row(layer);
    const double all_expected = sum(expected);
    const double all_seen = sum(seen);
    for (std::size_t e = 0; e < seen.size(); ++e) {
      missed += std::abs(seen[e] / all_seen - expected[e] / all_expected);
    }
  }
  return missed / static_cast<double>(came.rows());
}

}  // namespace

void Ewma::observe(const LoadMatrix& load) {
  if (!ready()) {
    level_ = load;
    return;
  }
  MOESHIFT_CHECK(load.items().size() == level_.items().size());
  for (std::size_t i = 0; i < load.items().size(); ++i) {
    level_.items()[i] = alpha_ * load.items()[i] + (1 - alpha_) * level_.items()[i];
  }
}

void BacktestedLevel::observe(const LoadMatrix& load) {
  constexpr double kMemory = 0.9;
  if (newest_.ready()) {
    ++tries_;
    smooth_error_ = kMemory * smooth_error_ + share_missed(smooth_.forecast().load, load);
    newest_error_ = kMemory * newest_error_ + share_missed(newest_.forecast().load, load);
  }
  smooth_.observe(load);
  newest_.observe(load);
}

LoadMatrix BacktestedLevel::level() const {
  constexpr std::size_t kLeastTries = 4;
  constexpr double kCloser = 0.9;
  const bool newest = tries_ >= kLeastTries && newest_error_ < kCloser * smooth_error_;
  return newest ? newest_.forecast().load : smooth_.forecast().load;
}

WindowSamples::WindowSamples(const Options& options)
    : options_(options), ring_(options.samples), level_(options.recentre.value_or(0.5)) {}

void WindowSamples::observe(const LoadMatrix& load) {
  if (steps_ == 0) {
    partial_ = load;
  } else {
    for (std::size_t i = 0; i < load.items().size(); ++i) partial_.items()[i] += load.items()[i];
  }
  if (++steps_ < options_.steps_per_sample) return;
  const LoadMatrix sample = partial_sample();
  ring_.push(sample);
  if (options_.backtest) {
    backtested_.observe(sample);
  } else {
    level_.observe(sample);
  }
  steps_ = 0;
}

LoadMatrix WindowSamples::partial_sample() const {
  LoadMatrix sample = partial_;
  for (double& tokens : sample.items()) tokens /= static_cast<double>(steps_);
  return sample;
}

LoadMatrix WindowSamples::level() const {
  return options_.backtest ? backtested_.level() : level_.forecast().load;
}

Forecast WindowSamples::forecast() const {
  if (ring_.empty()) return {partial_sample(), {}};
  Forecast forecast{ring_.mean(), ring_.oldest_first()};
  if (!options_.recentre && !options_.backtest) return forecast;
  const LoadMatrix mean = std::exchange(forecast.load, level());
  for (LoadMatrix& sample : forecast.samples) {
    for (std::size_t i = 0; i < mean.items().size(); ++i) {
      const double share = mean.items()[i] > 0 ? sample.items()[i] / mean.items()[i] : 0;
      sample.items()[i] = share * forecast.load.items()[i];
    }
  }
  return forecast;
}

}  // namespace moeshift
