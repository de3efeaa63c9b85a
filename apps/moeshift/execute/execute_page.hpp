// SPDX-License-Identifier: Apache-2.0
// What the page of `execute` shows beside its tables: measured beside predicted, and who did what
// when.
#pragma once

#include "moeshift/report/report.hpp"

#include "apps/moeshift/execute/execution.hpp"

namespace moeshift::cli {

/// Adds figures and charts; none of them shows in a terminal.
void add_execute_page(const Execution& execution, Report& report);

}  // namespace moeshift::cli
