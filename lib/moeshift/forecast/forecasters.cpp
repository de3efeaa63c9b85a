// SPDX-License-Identifier: Apache-2.0
#include "moeshift/forecast/forecasters.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "moeshift/core/error.hpp"
#include "moeshift/forecast/persistence.hpp"

namespace moeshift {

void WholeNumbers::see(const LoadMatrix& load) {
  const auto items = load.items();
  whole_ = whole_ && std::all_of(items.begin(), items.end(),
                                 [](double tokens) { return tokens == std::floor(tokens); });
}

void Ewma::observe(const LoadMatrix& load) {
  whole_.see(load);
  if (!ready()) {
    level_ = load;
    return;
  }
  MOESHIFT_CHECK(load.items().size() == level_.items().size());
  squares_ = alpha_ * alpha_ + (1 - alpha_) * (1 - alpha_) * squares_;
  for (std::size_t i = 0; i < load.items().size(); ++i) {
    level_.items()[i] = alpha_ * load.items()[i] + (1 - alpha_) * level_.items()[i];
  }
}

WindowSamples::WindowSamples(const Options& options)
    : options_(options), ring_(options.samples), level_(options.recentre.value_or(0.5)) {}

void WindowSamples::observe(const LoadMatrix& load) {
  whole_.see(load);
  if (steps_ == 0) {
    partial_ = load;
  } else {
    for (std::size_t i = 0; i < load.items().size(); ++i) partial_.items()[i] += load.items()[i];
  }
  if (++steps_ < options_.steps_per_sample) return;
  const LoadMatrix sample = partial_sample();
  ring_.push(sample);
  if (options_.recentre) level_.observe(sample);
  steps_ = 0;
}

LoadMatrix WindowSamples::partial_sample() const {
  LoadMatrix sample = partial_;
  for (double& tokens : sample.items()) tokens /= static_cast<double>(steps_);
  return sample;
}

Forecast WindowSamples::forecast() const {
  if (ring_.empty()) return {partial_sample(), {}};
  if (options_.backtest) {
    WindowReading reading = read_windows(ring_.oldest_first());
    return {std::move(reading.level), std::move(reading.scenarios)};
  }
  Forecast forecast{ring_.mean(), ring_.oldest_first(),
                    whole_.evidence(static_cast<double>(ring_.size() * options_.steps_per_sample))};
  if (!options_.recentre) return forecast;
  const LoadMatrix mean = std::exchange(forecast.load, level_.forecast().load);
  forecast.evidence.reset();
  for (LoadMatrix& sample : forecast.samples) {
    for (std::size_t i = 0; i < mean.items().size(); ++i) {
      const double share = mean.items()[i] > 0 ? sample.items()[i] / mean.items()[i] : 0;
      sample.items()[i] = share * forecast.load.items()[i];
    }
  }
  return forecast;
}

}  // namespace moeshift
