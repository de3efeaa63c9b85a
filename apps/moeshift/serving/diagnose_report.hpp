// SPDX-License-Identifier: Apache-2.0
// A diagnosis on one page, and as JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "moeshift/cost/network.hpp"
#include "moeshift/model/load.hpp"
#include "moeshift/model/topology.hpp"
#include "moeshift/report/report.hpp"
#include "moeshift/simulate/diagnosis.hpp"
#include "moeshift/trace/drift.hpp"
#include "moeshift/trace/phase.hpp"
#include "moeshift/trace/statistics.hpp"

namespace moeshift::cli {

/// Everything that was found out about a trace on a machine.
struct Findings {
  TraceHeader header;
  TraceStatistics statistics;
  TrafficDrift drift;
  PhaseGuess phase;
  std::vector<LayerOutlook> layers;
  std::vector<BacktestLane> lanes;
  Diagnosis diagnosis;

  std::size_t ranks = 0;
  std::size_t nodes = 0;
  std::size_t slots = 0;
  std::string policy;
  std::string mode;
  double tokens_per_pass = 0;             ///< of one forward pass, as served
  std::uint64_t repeat = 1;               ///< forward passes per recorded step
  std::uint64_t warm_up = 0;              ///< served steps
  double noise_floor = 1;                 ///< of one forward pass
  std::optional<NetworkFigures> network;  ///< of the placement without rebalancing
};

/// [{objective, behind_best}]; of `sweep` too.
[[nodiscard]] nlohmann::ordered_json objectives_json(
    const std::vector<ObjectiveOutcome>& objectives);

[[nodiscard]] Report diagnosis_report(const Findings& findings);

}  // namespace moeshift::cli
