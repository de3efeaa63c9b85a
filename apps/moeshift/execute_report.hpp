// SPDX-License-Identifier: Apache-2.0
// What `moeshift execute` answers: measured beside predicted, and what verification found.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "moeshift/cost/transfer_cost.hpp"
#include "moeshift/execute/shuffle.hpp"
#include "moeshift/report/report.hpp"

namespace moeshift::cli {

/// One finished (or failed) run.
struct Execution {
  std::string transport;
  std::string mode;
  const ShuffleJob* job = nullptr;
  TransferCost predicted;
  std::vector<RankOutcome> ranks;  ///< of this process, or of all
  std::vector<std::pair<std::string, std::string>> facts;

  [[nodiscard]] std::optional<Failure> failure() const;
  [[nodiscard]] std::uint64_t mismatched_bytes() const;
  /// Every slot of every layer was compared and is right.
  [[nodiscard]] bool verified() const;
  /// The longest of all ranks.
  [[nodiscard]] Seconds longest(Seconds RankTimes::* time) const;
};

[[nodiscard]] Report execution_report(const Execution& execution);

/// "layer 1, rank 2, slot 3 (expert 17): 1 wrong byte, the first at offset 0", a line each.
[[nodiscard]] std::vector<std::string> fault_lines(const Execution& execution, std::size_t most);

/// Which layers of the local ranks are new and which old, for the message of a failure.
[[nodiscard]] std::string survey_line(const Execution& execution);

/// The spans of all ranks in one picture.
[[nodiscard]] Timeline joint_timeline(const Execution& execution);

}  // namespace moeshift::cli
