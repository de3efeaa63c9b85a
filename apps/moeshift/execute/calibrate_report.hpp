// SPDX-License-Identifier: Apache-2.0
// What a calibration found, for people and for programs.
#pragma once

#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "moeshift/cost/calibration.hpp"
#include "moeshift/report/table.hpp"

namespace moeshift::cli {

/// Predicted against measured.
struct Validation {
  std::vector<double> relative_errors;  ///< predicted / measured - 1
  double median_error = 0;              ///< of their absolute values
  double p95_error = 0;
};
/// @param measured as many as `predicted`, each > 0.
[[nodiscard]] Validation judge(const std::vector<Seconds>& predicted,
                               const std::vector<Seconds>& measured);

/// {"value", "low", "high", "rows", "reached"} per term.
[[nodiscard]] nlohmann::ordered_json terms_json(const std::vector<FittedTerm>& terms);
/// {"median_relative_error", "p95_relative_error", "plans"}.
[[nodiscard]] nlohmann::ordered_json validation_json(const Validation& validation);

/// {"pattern", "messages": [[source, destination, bytes], ...], "seconds": [...]} per exchange.
[[nodiscard]] nlohmann::ordered_json exchanges_json(const std::vector<ExchangeSample>& samples);

/// The exchanges of one class of link, and what was fitted to them.
struct LinkFitReport {
  LinkClass link = LinkClass::kIntraNode;
  std::vector<ExchangeSample> samples;
  Calibration fit;
};

/// Every term with its interval and the number of exchanges it comes from.
[[nodiscard]] Table terms_table(const std::vector<LinkFitReport>& links,
                                const CopyCalibration& copies, const CopyCalibration& together);
/// Errors of the fit by class of link and pattern.
[[nodiscard]] Table residuals_table(const std::vector<LinkFitReport>& links);
/// {"terms", "median_relative_error", "p95_relative_error", "misfits"} per class of link.
[[nodiscard]] nlohmann::ordered_json links_json(const std::vector<LinkFitReport>& links);

}  // namespace moeshift::cli
