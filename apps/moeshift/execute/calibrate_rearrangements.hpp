// SPDX-License-Identifier: Apache-2.0
// What whole rearrangements have told a calibration, and how well others are predicted by it.
#pragma once

#include <deque>
#include <vector>

#include "moeshift/calibrate/design.hpp"
#include "moeshift/cost/engine_fit.hpp"
#include "moeshift/report/report.hpp"

#include "apps/moeshift/execute/calibrate_cases.hpp"

namespace moeshift::cli {

/// Rearrangements as they were predicted, and as they went.
struct JudgedCases {
  const std::deque<CalibrationCase>& cases;
  std::vector<Seconds> predicted;  ///< ring by ring, plan by plan
  std::vector<Seconds> measured;
};

/// The terms that they have told, and how well it fits.
void add_engine(Report& report, const EngineFit& engine, const JudgedCases& fitted);
/// Every one that the fit has not seen. @return their errors.
Validation add_validation(Report& report, const JudgedCases& unseen);

}  // namespace moeshift::cli
