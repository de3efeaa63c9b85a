// SPDX-License-Identifier: Apache-2.0
// Which experts go together, as tables and as JSON.
#pragma once

#include "moeshift/model/load.hpp"
#include "moeshift/report/report.hpp"
#include "moeshift/routing/route_summary.hpp"

namespace moeshift::cli {

/// Adds `result.together` and its tables.
void add_lift(const RouteSummary& routes, const TraceHeader& header, Report& report);

}  // namespace moeshift::cli
