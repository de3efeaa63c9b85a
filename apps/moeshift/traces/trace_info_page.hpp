// SPDX-License-Identifier: Apache-2.0
// What the page of `trace info` shows beside its tables.
#pragma once

#include <vector>

#include "moeshift/model/load.hpp"
#include "moeshift/report/report.hpp"
#include "moeshift/trace/statistics.hpp"

namespace moeshift::cli {

/// Adds figures and charts; none of them shows in a terminal.
/// @param step_loads [steps] assignments of each step, all layers together.
void add_trace_page(const TraceHeader& header, const TraceStatistics& statistics,
                    const std::vector<double>& step_loads, Report& report);

}  // namespace moeshift::cli
