// SPDX-License-Identifier: Apache-2.0
// What a policy may know of the next steps: something made from the past ones.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "moeshift/model/load.hpp"

namespace moeshift {

/// What the next steps are expected to look like.
struct Forecast {
  LoadMatrix load;                  ///< [layers, experts] tokens of one step
  std::vector<LoadMatrix> samples;  ///< scenarios around it, oldest first; none: a point forecast
  /// Tokens counted for each of `load`: H for a mean of H steps. Absent: not known, or just one
  /// step.
  std::optional<double> evidence = {};
};

/// Sees every served step once, in order, and never a later one.
///
/// Memory depends on the window, never on the length of the trace. Invariant: what is forecast is
/// finite, >= 0 and of the shape that was observed.
class Forecaster {
 public:
  Forecaster() = default;
  Forecaster(const Forecaster&) = delete;
  Forecaster& operator=(const Forecaster&) = delete;
  virtual ~Forecaster() = default;

  /// Takes in the load of the step just served. All steps have one shape.
  virtual void observe(const LoadMatrix& load) = 0;
  /// True once there is anything to forecast from.
  [[nodiscard]] virtual bool ready() const = 0;
  /// Only when `ready()`.
  [[nodiscard]] virtual Forecast forecast() const = 0;
};

/// A row of the forecaster table, for help texts.
struct ForecasterEntry {
  std::string_view spec;     ///< "mean:H"
  std::string_view summary;  ///< one line
};

/// The forms that make_forecaster reads.
[[nodiscard]] std::span<const ForecasterEntry> forecasters();

/// A forecaster from its spec.
///
/// - `last`: the last step.
/// - `mean:H`: the mean of the last H steps (of all of them while there are fewer); vLLM's
///   expert_load_window.
/// - `ewma:a`: f = a * step + (1 - a) * f, starting from the first step.
/// - `samples:H` or `samples:HxN`: the last H samples of N steps each (mean of the N; N = 1 unless
///   given) as scenarios, and their mean as the load.
/// - `recentred:H`, `recentred:HxN` or `recentred:HxN:a`: the same samples, each rescaled
///   elementwise to level / mean, level being the EWMA (a = 0.5 unless given) of the samples: the
///   shape of the fluctuations around where the load is now, which stale windows miss under drift.
/// - `recentred:HxN:auto`: the level is the mean of the samples or an average that forgets,
///   whichever forecast them best (persistence.hpp): it follows abrupt changes, and not the noise.
/// @throws InputError for anything else, naming the forms.
[[nodiscard]] std::unique_ptr<Forecaster> make_forecaster(std::string_view spec);

}  // namespace moeshift
