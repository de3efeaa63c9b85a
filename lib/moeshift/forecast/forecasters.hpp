// SPDX-License-Identifier: Apache-2.0
// The ways to look ahead; users make them by make_forecaster.
#pragma once

#include <cstddef>
#include <optional>

#include "moeshift/forecast/forecaster.hpp"
#include "moeshift/forecast/load_ring.hpp"

namespace moeshift {

/// Whether all that was seen are whole numbers, and so counts of tokens.
class WholeNumbers {
 public:
  void see(const LoadMatrix& load);
  /// `tokens` counted for each of a forecast, where that is so.
  [[nodiscard]] std::optional<double> evidence(double tokens) const {
    return whole_ ? std::optional(tokens) : std::nullopt;
  }

 private:
  bool whole_ = true;
};

/// The next step is like the last one.
class LastStep final : public Forecaster {
 public:
  void observe(const LoadMatrix& load) override { last_ = load; }
  [[nodiscard]] bool ready() const override { return last_.rows() > 0; }
  [[nodiscard]] Forecast forecast() const override { return {last_, {}}; }

 private:
  LoadMatrix last_;
};

/// The next step is like the mean of the last `steps`.
class WindowMean final : public Forecaster {
 public:
  explicit WindowMean(std::size_t steps) : ring_(steps) {}
  void observe(const LoadMatrix& load) override {
    whole_.see(load);
    ring_.push(load);
  }
  [[nodiscard]] bool ready() const override { return !ring_.empty(); }
  [[nodiscard]] Forecast forecast() const override {
    return {ring_.mean(), {}, whole_.evidence(static_cast<double>(ring_.size()))};
  }

 private:
  LoadRing ring_;
  WholeNumbers whole_;
};

/// Exponentially weighted moving average: old steps fade by (1 - alpha) each.
class Ewma final : public Forecaster {
 public:
  explicit Ewma(double alpha) : alpha_(alpha) {}
  void observe(const LoadMatrix& load) override;
  [[nodiscard]] bool ready() const override { return level_.rows() > 0; }
  [[nodiscard]] Forecast forecast() const override {
    return {level_, {}, whole_.evidence(1 / squares_)};
  }

 private:
  double alpha_;
  LoadMatrix level_;
  double squares_ = 1;  ///< sum over steps of their weights' squares
  WholeNumbers whole_;
};

/// Several windows at once, for planners that hedge.
class WindowSamples final : public Forecaster {
 public:
  struct Options {
    std::size_t samples = 8;
    std::size_t steps_per_sample = 1;
    std::optional<double> recentre;  ///< alpha of the level; absent: raw windows
    bool backtest = false;           ///< recentred as read_windows chooses instead
  };
  explicit WindowSamples(const Options& options);

  void observe(const LoadMatrix& load) override;
  [[nodiscard]] bool ready() const override { return !ring_.empty() || steps_ > 0; }
  [[nodiscard]] Forecast forecast() const override;

 private:
  [[nodiscard]] LoadMatrix partial_sample() const;

  Options options_;
  LoadRing ring_;          // of finished samples
  Ewma level_;             // of finished samples
  LoadMatrix partial_;     // sum of the steps of the sample being filled
  std::size_t steps_ = 0;  // in it
  WholeNumbers whole_;
};

}  // namespace moeshift
