// SPDX-License-Identifier: Apache-2.0
// The outcome of a comparison as JSON, as a table, and as the sentence that people want.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "moeshift/report/table.hpp"
#include "moeshift/simulate/paired_difference.hpp"

#include "apps/moeshift/compare/comparison.hpp"

namespace moeshift::cli {

/// Who is best on the held-out windows, and whom the windows cannot tell from it.
struct Standings {
  std::size_t reference = 0;                  ///< the row that others are compared with
  std::vector<PairedDifference> differences;  ///< [rows] balancedness of the row - the reference's
  std::vector<bool> pareto;                   ///< [rows] balancedness against transfers
  std::size_t best = 0;                       ///< highest mean balancedness, window by window
  std::vector<std::size_t> tied;              ///< rows that chance may have put behind the best
  std::size_t second = 0;                     ///< = best when it is alone
  PairedDifference lead;                      ///< best - second
};

[[nodiscard]] Standings standings_of(const std::vector<ComparisonRow>& rows, std::size_t reference,
                                     std::uint64_t seed);

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
/// "best on held-out steps: ..." with what the windows can and cannot tell apart.
[[nodiscard]] std::string verdict_of(const std::vector<ComparisonRow>& rows,
                                     const Standings& standings);

}  // namespace moeshift::cli
