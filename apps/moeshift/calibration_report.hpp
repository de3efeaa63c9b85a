// SPDX-License-Identifier: Apache-2.0
// What a calibration found, for people and for programs.
#pragma once

#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "moeshift/cost/calibration.hpp"
#include "moeshift/report/table.hpp"

namespace moeshift::cli {

/// Predicted against measured on exchanges that the fit has not seen.
struct Validation {
  std::vector<double> relative_errors;  ///< predicted / median measured - 1
  double median_error = 0;              ///< of their absolute values
  double p95_error = 0;
};
[[nodiscard]] Validation validate(const Calibration& fit,
                                  const std::vector<ExchangeSample>& held_out, std::size_t ranks);

/// {"value", "low", "high", "rows", "reached"} per term.
[[nodiscard]] nlohmann::ordered_json terms_json(const std::vector<FittedTerm>& terms);
/// {"median_relative_error", "p95_relative_error", "exchanges"}.
[[nodiscard]] nlohmann::ordered_json validation_json(const Validation& validation);

/// Every term with its interval and the number of exchanges it comes from.
[[nodiscard]] Table terms_table(const Calibration& fit, const CopyCalibration& copies);
/// Errors of the fit by pattern.
[[nodiscard]] Table residuals_table(const std::vector<ExchangeSample>& samples,
                                    const Calibration& fit);

}  // namespace moeshift::cli
