// SPDX-License-Identifier: Apache-2.0
// What the page of `diagnose` shows beside its tables.
#pragma once

#include "apps/moeshift/serving/diagnose_report.hpp"

namespace moeshift::cli {

/// Adds figures and charts; none of them shows in a terminal.
void add_diagnose_page(const Findings& findings, Report& report);

}  // namespace moeshift::cli
