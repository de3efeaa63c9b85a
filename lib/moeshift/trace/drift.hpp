// SPDX-License-Identifier: Apache-2.0
// How fast traffic changes, and how much of what looks like change is only sampling.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "moeshift/model/load.hpp"

namespace moeshift {

/// Loads `lag` steps apart, mean over layers and compared pairs.
struct LagDrift {
  std::size_t lag = 0;
  std::size_t pairs = 0;
  double hot_overlap = 0;         ///< share of the hot set that is in both
  double chance_overlap = 0;      ///< of two sets drawn at random
  double variation = 0;           ///< total variation distance of the normalised loads
  double sampling_variation = 0;  ///< what it would be if only sampling made a difference
};

struct TrafficDrift {
  std::size_t num_steps = 0;
  std::size_t hot_set = 0;
  std::vector<LagDrift> lags;  ///< ascending; none with fewer than two steps
  /// [layers] variance of expert counts around their long-run shares / multinomial variance; 1 =
  /// nothing but sampling. 0 where it cannot be told (one step, or a layer without load).
  std::vector<double> dispersion;
  /// [layers] the same from neighbouring steps alone: what a slow drift does not add to.
  std::vector<double> step_dispersion;
  /// Largest total variation distance of neighbouring steps, and the median: abrupt changes stand
  /// out.
  double largest_step_variation = 0;
  double median_step_variation = 0;
  /// Positions of steps that differ from the one before by more than kAbrupt times the median, and
  /// the first kMostAbrupt of them.
  std::vector<std::size_t> abrupt_steps;

  static constexpr double kAbrupt = 2.5;
  static constexpr std::size_t kMostAbrupt = 100;
};

/// Total variation distance that two samples of `before` and `after` draws from the same `shares`
/// have by chance: half the sum of sqrt(2 / pi * p (1 - p) (1 / before + 1 / after)).
[[nodiscard]] double sampling_variation(std::span<const double> shares, double before,
                                        double after);

/// Takes steps one at a time and compares them over lags 1, 2, 4, ... up to kLongestLag. Memory: a
/// ring of kLongestLag steps as floats. From kDensePairs steps on only every 2nd, 4th, ... step is
/// compared, so that time per step stays bounded.
class DriftObserver {
 public:
  DriftObserver(std::size_t layers, std::size_t experts);

  void add(const LoadMatrix& load);
  [[nodiscard]] TrafficDrift finish() const;

  static constexpr std::size_t kLongestLag = 64;
  static constexpr std::size_t kDensePairs = 1024;

 private:
  struct LagSums {
    std::size_t pairs = 0;
    double overlap = 0;
    double variation = 0;
    double sampling = 0;
  };
  struct Past {
    std::vector<float> load;                      // [layers * experts]
    std::vector<std::vector<std::uint32_t>> hot;  // [layers]
  };

  void compare(const Past& before, const Past& now, std::size_t lag, LagSums& sums);
  void disperse(const LoadMatrix& load);

  std::size_t layers_;
  std::size_t experts_;
  std::size_t hot_set_;
  std::size_t num_steps_ = 0;
  std::vector<Past> ring_;
  std::vector<LagSums> lags_;     // [log2(lag)]
  LoadMatrix sum_;                // of counts
  LoadMatrix scaled_squares_;     // sum of count^2 / total of its step
  LoadMatrix neighbour_squares_;  // sum of (share - share before)^2 / (1/n + 1/n before)
  std::size_t neighbours_ = 0;
  std::vector<double> step_variation_;  // of neighbouring steps that were compared
  std::vector<std::size_t> step_positions_;
};

}  // namespace moeshift
