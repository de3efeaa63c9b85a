// SPDX-License-Identifier: Apache-2.0
// The outcome of a sweep as JSON, as tables, and in a sentence.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "moeshift/report/blocks.hpp"
#include "moeshift/simulate/sweep.hpp"

#include "apps/moeshift/serving/sweep_refusal.hpp"

namespace moeshift::cli {

/// One object per row: the point, its memory, what `simulate` says of a lane, "vs_static",
/// "behind_best" and "pareto".
[[nodiscard]] nlohmann::ordered_json to_json(const std::vector<SweepRow>& rows,
                                             const SweepVerdict& verdict);
[[nodiscard]] nlohmann::ordered_json to_json(const std::vector<Refused>& refused);
[[nodiscard]] nlohmann::ordered_json best_json(const std::vector<SweepRow>& rows,
                                               const SweepVerdict& verdict, SweepGoal goal);

[[nodiscard]] Table sweep_table(const std::vector<SweepRow>& rows, const SweepVerdict& verdict,
                                SweepGoal goal);
[[nodiscard]] Table refused_table(const std::vector<Refused>& refused);
/// Who is best and who is advised; below it what the trace can and cannot tell.
[[nodiscard]] Conclusion conclusion_of(const std::vector<SweepRow>& rows,
                                       const SweepVerdict& verdict, SweepGoal goal);

}  // namespace moeshift::cli
