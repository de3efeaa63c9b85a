// SPDX-License-Identifier: Apache-2.0
// The outcome of a lane as JSON and as rows.
#pragma once

#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "moeshift/report/table.hpp"
#include "moeshift/simulate/lane_result.hpp"

namespace moeshift::cli {

/// {"steps", "throughput_tokens_per_second", "step_seconds", "transfer_seconds", "bytes_by_link",
/// "balancedness", "staleness_steps", "layers_moved", "longest_rearrangement_steps", "decisions",
/// "outage_seconds", "world_events"}.
[[nodiscard]] nlohmann::ordered_json to_json(const LaneResult& lane);
[[nodiscard]] nlohmann::ordered_json to_json(const std::vector<RearrangementRecord>& records);
/// {"throughput_ratio", "mean_ratio", "p50_ratio", "p99_ratio"}: the first over the second;
/// a throughput ratio above 1 and time ratios below 1 are good.
[[nodiscard]] nlohmann::ordered_json ratios(const LaneResult& lane, const LaneResult& reference);

/// One row per lane; `reference` is what "vs static" compares with.
[[nodiscard]] Table lane_table(const std::vector<LaneResult>& lanes, const LaneResult& reference);
/// One row per lane that moved anything.
[[nodiscard]] Table move_table(const std::vector<LaneResult>& lanes);
[[nodiscard]] Table rearrangement_table(const LaneResult& lane);

/// What failing, joining and leaving ranks did.
[[nodiscard]] Table event_table(const LaneResult& lane);

}  // namespace moeshift::cli
