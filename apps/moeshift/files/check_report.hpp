// SPDX-License-Identifier: Apache-2.0
// What `check` found: as a report, as JUnit, as GitHub annotations.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "moeshift/report/regression.hpp"
#include "moeshift/report/report.hpp"
#include "moeshift/report/requirement.hpp"
#include "moeshift/report/subject.hpp"

namespace moeshift::cli {

/// Everything that one check compared.
struct CheckAnswer {
  std::string command;  ///< of the result
  std::string source;   ///< the result's path
  std::vector<MetricComparison> rows;
  std::vector<RequirementOutcome> required;
  std::vector<SubjectDifference> differences;  ///< that the user allows

  [[nodiscard]] bool failed() const;
};

/// Worst first on pages; in the order of the gates in a terminal and in JSON.
[[nodiscard]] Report check_report(const CheckAnswer& answer);

/// JUnit XML: one suite, a case per figure.
void write_junit(std::ostream& out, const CheckAnswer& answer);

/// Workflow commands of GitHub Actions: an error per figure that fails, and one line that sums up.
void write_github(std::ostream& out, const CheckAnswer& answer);

}  // namespace moeshift::cli
