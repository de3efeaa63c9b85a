// SPDX-License-Identifier: Apache-2.0
// What the pages of `simulate` and `sweep` show beside their tables.
#pragma once

#include <vector>

#include "moeshift/report/report.hpp"
#include "moeshift/simulate/lane_result.hpp"
#include "moeshift/simulate/step_blocks.hpp"
#include "moeshift/simulate/sweep.hpp"

namespace moeshift::cli {

/// Adds figures and charts; none of them shows in a terminal.
/// @param lanes the policy first, then what it is measured by; [1] is static where there are more.
/// @param blocks [lanes] step times over the run, or fewer where these were not watched.
void add_simulate_page(const std::vector<LaneResult>& lanes, const std::vector<StepBlocks>& blocks,
                       Report& report);

void add_sweep_page(const std::vector<SweepRow>& rows, const SweepVerdict& verdict, SweepGoal goal,
                    Report& report);

}  // namespace moeshift::cli
