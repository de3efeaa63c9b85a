// SPDX-License-Identifier: Apache-2.0
// A transfer plan and its price, for people and for programs.
#pragma once

#include <iosfwd>

#include <nlohmann/json_fwd.hpp>

#include "moeshift/core/matrix.hpp"
#include "moeshift/cost/transfer_cost.hpp"
#include "moeshift/model/transfer_plan.hpp"
#include "moeshift/report/table.hpp"

namespace moeshift::cli {

/// "44.1 MB", or "30.2 MB (at most 44.1 MB)" where experts differ.
[[nodiscard]] std::string human_sizes(const ExpertSizes& sizes);

/// {"intra_node", "inter_node", "inter_rack"} transfers.
[[nodiscard]] nlohmann::ordered_json transfers_json(const TransferTotals& totals);
/// The same keys, bytes.
[[nodiscard]] nlohmann::ordered_json bytes_json(const TransferTotals& totals);

/// The `result.totals` of design: counts, bytes, rounds, staging memory, predicted seconds.
[[nodiscard]] nlohmann::ordered_json totals_json(const TransferPlan& plan,
                                                 const TransferCost& cost);
/// One object per layer.
[[nodiscard]] nlohmann::ordered_json layers_json(const TransferPlan& plan,
                                                 const TransferCost& cost);

[[nodiscard]] Table totals_table(const TransferPlan& plan, const TransferCost& cost);
[[nodiscard]] Table layers_table(const TransferPlan& plan, const TransferCost& cost);
/// Who sends what to whom in which round: one row per sending rank, one column per round of the
/// port class; "17>5" is expert 17 to rank 5, "*17>5" hands on what was just received.
[[nodiscard]] std::vector<Table> round_tables(const Wave& wave, std::size_t number);

/// Staging memory of the rank that needs most.
[[nodiscard]] Bytes most_staging(const TransferPlan& plan);
/// [source][destination] bytes of the whole rearrangement.
[[nodiscard]] IdMatrix<RankId, RankId, Bytes> traffic_of(const TransferPlan& plan);
/// The same as rows of numbers.
[[nodiscard]] nlohmann::ordered_json traffic_json(const TransferPlan& plan);

/// Writes the square matrix that nccl-tests' alltoallv_perf reads: row = source, column =
/// destination, bytes of the whole rearrangement.
void write_traffic_matrix(std::ostream& out, const TransferPlan& plan);

}  // namespace moeshift::cli
