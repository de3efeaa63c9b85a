// SPDX-License-Identifier: Apache-2.0
// The lines of a journal: one JSON object each, which names its run and plan and carries a
// checksum.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "moeshift/core/ids.hpp"
#include "moeshift/execute/decision_log.hpp"
#include "moeshift/execute/observer.hpp"

namespace moeshift {

/// The first line of a run: which rearrangement it is about, and where it started.
struct JournalHeader {
  std::string old_placement;  ///< SHA-256 of the placement that the run began from
  std::string new_placement;  ///< and of the one that it leads to
  std::string plan;           ///< TransferPlan::hash
  std::size_t ranks = 0;
  std::size_t run = 1;  ///< 1 = the first, 2 = the first resumed one, ...
};

/// Each without the newline.
[[nodiscard]] std::string header_line(const JournalHeader& header);
[[nodiscard]] std::string step_line(const JournalHeader& run, const LayerStep& step);
[[nodiscard]] std::string decision_line(const JournalHeader& run, const Ballot& ballot,
                                        Verdict verdict);
[[nodiscard]] std::string end_line(const JournalHeader& run, RankId rank,
                                   const std::string& outcome);

/// Whether the line carries the checksum of what it says.
[[nodiscard]] bool is_sound(std::string_view line);
/// Whether the text could be the beginning of a header that a crash cut off.
[[nodiscard]] bool may_begin_header(std::string_view text);

}  // namespace moeshift
