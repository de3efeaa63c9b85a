// SPDX-License-Identifier: Apache-2.0
// What a placement makes tokens travel, as JSON, as a table and in words.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "moeshift/cost/network.hpp"
#include "moeshift/model/load.hpp"
#include "moeshift/plan/planner.hpp"
#include "moeshift/report/report.hpp"

namespace moeshift::cli {

/// {"from", "copies_per_token", ..., "dispatch_bytes": {link: bytes}, "seconds": {...}}.
[[nodiscard]] nlohmann::ordered_json to_json(const NetworkFigures& figures);
/// The same layer by layer, with what the policy alone had come to where that is known.
[[nodiscard]] nlohmann::ordered_json layers_json(const NetworkFigures& figures,
                                                 const std::vector<NetworkVerdict>& verdicts,
                                                 const TraceHeader& trace);

/// "a token goes to 3.6 of 8 ranks; ..." and what that rests on.
[[nodiscard]] std::string network_note(const NetworkFigures& figures, std::size_t ranks,
                                       std::size_t nodes);
[[nodiscard]] Table network_table(const NetworkFigures& figures,
                                  const std::vector<NetworkVerdict>& verdicts, std::size_t nodes);

/// A point of the trade-off between balance and copies.
struct FrontierPoint {
  std::string name;      ///< "policy alone", "slack 0.01"
  double slack = 0;      ///< imbalance that was allowed above the policy's
  double imbalance = 1;  ///< mean over layers
  double held_out = 0;   ///< cost on windows left out over the policy's there; 0 = not asked
  NetworkFigures network;
};
void add_frontier(const std::vector<FrontierPoint>& points, std::size_t nodes, Report& report);

}  // namespace moeshift::cli
