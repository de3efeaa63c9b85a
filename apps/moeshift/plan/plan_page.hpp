// SPDX-License-Identifier: Apache-2.0
// What the page of a plan shows beside its tables: before and after, layer by layer and rank by
// rank.
#pragma once

#include <span>

#include "moeshift/cost/balance.hpp"
#include "moeshift/report/report.hpp"

#include "apps/moeshift/plan/plan_report.hpp"

namespace moeshift::cli {

/// Adds figures, charts and details; none of them shows in a terminal.
/// @param loads of the plan. @param bounds [layers] on the busiest rank.
void add_plan_page(const PlanAnswer& answer, const RankLoads& loads, std::span<const double> bounds,
                   Report& report);

}  // namespace moeshift::cli
