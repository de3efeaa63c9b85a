// SPDX-License-Identifier: Apache-2.0
// The lines of a journal: one JSON object each, which names its run and plan and carries a check of
// itself and of all lines before it.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "moeshift/core/ids.hpp"
#include "moeshift/execute/decision_log.hpp"
#include "moeshift/execute/observer.hpp"

namespace moeshift {

/// What is written now. 1 had no checks, the checks of 2 covered one line each.
inline constexpr int kJournalVersion = 3;

/// The first line of a run: which rearrangement it is about, and where it started.
struct JournalHeader {
  std::string old_placement;  ///< SHA-256 of the placement that the run began from
  std::string new_placement;  ///< and of the one that it leads to
  std::string plan;           ///< TransferPlan::hash
  std::size_t ranks = 0;
  std::size_t run = 1;  ///< 1 = the first, 2 = the first resumed one, ...
};

/// What is to be said, each an object without its check.
[[nodiscard]] std::string header_line(const JournalHeader& header);
[[nodiscard]] std::string step_line(const JournalHeader& run, const LayerStep& step);
[[nodiscard]] std::string decision_line(const JournalHeader& run, const Ballot& ballot,
                                        Verdict verdict);
[[nodiscard]] std::string end_line(const JournalHeader& run, RankId rank,
                                   const std::string& outcome);

/// The line as it is written, but for the newline. Its check covers `before`, the check of the line
/// before, and so all lines up to it: one that is dropped, doubled or moved breaks the chain there.
/// @param before "" for the first line, and after one of version 1.
[[nodiscard]] std::string sealed(std::string object, std::string_view before);
/// The check at the end of a line, or of the end of one; "" without any.
[[nodiscard]] std::string_view check_of(std::string_view line);
/// Whether the line is as it was written after one with the check `before`.
[[nodiscard]] bool is_sound(std::string_view line, std::string_view before);
/// Whether the text could be the beginning of a header that a crash cut off.
[[nodiscard]] bool may_begin_header(std::string_view text);

}  // namespace moeshift
