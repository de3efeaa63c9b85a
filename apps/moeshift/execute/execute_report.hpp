// SPDX-License-Identifier: Apache-2.0
// What `moeshift execute` answers: measured beside predicted, and what verification found.
#pragma once

#include "moeshift/report/report.hpp"

#include "apps/moeshift/execute/execution.hpp"

namespace moeshift::cli {

[[nodiscard]] Report execution_report(const Execution& execution);

}  // namespace moeshift::cli
