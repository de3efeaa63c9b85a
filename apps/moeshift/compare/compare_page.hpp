// SPDX-License-Identifier: Apache-2.0
// What the page of `compare` shows beside its tables.
#pragma once

#include <vector>

#include "moeshift/report/report.hpp"

#include "apps/moeshift/compare/compare_report.hpp"

namespace moeshift::cli {

/// Adds figures and charts; none of them shows in a terminal.
void add_compare_page(const std::vector<ComparisonRow>& rows, const Standings& standings,
                      std::size_t layers, bool with_bytes, Report& report);

}  // namespace moeshift::cli
