// SPDX-License-Identifier: Apache-2.0
// What a calibration found, for people and for programs.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "moeshift/calibrate/design.hpp"
#include "moeshift/report/blocks.hpp"

namespace moeshift::cli {

/// {"value", "low", "high", "rows", "reached"} per term.
[[nodiscard]] nlohmann::ordered_json terms_json(const std::vector<FittedTerm>& terms);
/// {"median_relative_error", "p95_relative_error", "plans"}.
[[nodiscard]] nlohmann::ordered_json validation_json(const Validation& validation);

/// {"pattern", "messages": [[source, destination, bytes], ...], "seconds": [...]} per exchange.
[[nodiscard]] nlohmann::ordered_json exchanges_json(const std::vector<ExchangeSample>& samples);

/// Every term with its interval and the number of exchanges it comes from.
[[nodiscard]] Table terms_table(const std::vector<LinkCalibration>& links,
                                const CopyCalibration& copies, const CopyCalibration& together);
/// Predicted against measured: on the diagonal where they agree.
[[nodiscard]] Chart agreement_chart(std::string title, const std::vector<std::string>& names,
                                    const std::vector<Seconds>& predicted,
                                    const std::vector<Seconds>& measured);
/// The same of the exchanges that were fitted.
[[nodiscard]] Chart fit_chart(const std::vector<LinkCalibration>& links);
/// The errors of the fit, exchange by exchange.
[[nodiscard]] Chart errors_chart(const std::vector<LinkCalibration>& links);
/// Errors of the fit by class of link and pattern.
[[nodiscard]] Table residuals_table(const std::vector<LinkCalibration>& links);
/// {"terms", "median_relative_error", "p95_relative_error", "misfits"} per class of link.
[[nodiscard]] nlohmann::ordered_json links_json(const std::vector<LinkCalibration>& links);

}  // namespace moeshift::cli
