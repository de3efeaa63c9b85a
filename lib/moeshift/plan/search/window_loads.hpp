// SPDX-License-Identifier: Apache-2.0
// Loads of a layer over several windows, each scaled so that a rank carries 1 on average.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "moeshift/plan/layer_problem.hpp"
#include "moeshift/plan/search/risk.hpp"

namespace moeshift {

struct WindowLoads {
  std::size_t experts = 0;
  std::size_t windows = 0;
  std::vector<float> load;  ///< [experts, windows] in units of the mean rank load of the window

  [[nodiscard]] const float* of(std::size_t expert) const { return load.data() + expert * windows; }
  /// Mean over windows, [experts].
  [[nodiscard]] std::vector<double> mean() const;
  /// Mean + `times` standard deviations over windows, [experts].
  [[nodiscard]] std::vector<double> mean_plus_deviation(double times) const;
};

/// How far loads are off their mean over windows, as a share of it: root mean square over experts,
/// each by the square of its load; 0 with one window.
[[nodiscard]] double spread_of(const WindowLoads& loads);

/// The windows of a layer, or its load alone. Windows without load are left out; when none has any,
/// one window of equal loads.
[[nodiscard]] WindowLoads windows_of(const LayerProblem& problem, bool use_samples);

/// The risk of a placement over the windows: `experts` [ranks * k], the expert in every slot.
/// @param speed [ranks] in units of the mean; empty = alike.
[[nodiscard]] double risk_of(const WindowLoads& loads, std::size_t ranks,
                             std::span<const std::uint32_t> experts, const Risk& risk,
                             std::span<const double> speed = {});

}  // namespace moeshift
