// SPDX-License-Identifier: Apache-2.0
// The outcome of a comparison as JSON, as a table, and as the sentence that people want.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "moeshift/judge/held_out.hpp"
#include "moeshift/report/blocks.hpp"

namespace moeshift::cli {

/// {"policy", "train", "test", "transfers_per_layer", ...} per row.
[[nodiscard]] nlohmann::ordered_json to_json(const std::vector<ComparisonRow>& rows,
                                             const Standings& standings, std::size_t layers,
                                             bool with_bytes);
[[nodiscard]] nlohmann::ordered_json best_json(const std::vector<ComparisonRow>& rows,
                                               const Standings& standings);
/// {"mean", "low", "high", "certain", "pairs", "block", "method"}.
[[nodiscard]] nlohmann::ordered_json to_json(const PairedDifference& difference);

/// Balance and what it takes to get there.
[[nodiscard]] Table comparison_table(const std::vector<ComparisonRow>& rows, std::size_t layers,
                                     bool with_bytes);
/// The held-out windows one by one: balancedness, and the gain over the reference.
[[nodiscard]] Table held_out_table(const std::vector<ComparisonRow>& rows,
                                   const Standings& standings);
/// Copies and seconds on held-out windows, and what they gain over the reference, with intervals;
/// nothing without routes.
[[nodiscard]] std::optional<Table> network_table(const std::vector<ComparisonRow>& rows,
                                                 std::size_t reference);
/// "best on held-out steps: ..."; below it what the windows can and cannot tell apart.
[[nodiscard]] Conclusion conclusion_of(const std::vector<ComparisonRow>& rows,
                                       const Standings& standings);

}  // namespace moeshift::cli
