// SPDX-License-Identifier: Apache-2.0
// What rearrangements have done so far, written down as it happens, and read back to finish them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "moeshift/core/ids.hpp"
#include "moeshift/execute/journal/journal_lines.hpp"

namespace moeshift {

/// A wave of a layer that went live, or was going to.
struct JournalDecision {
  LayerId layer;
  std::size_t wave = 0;
  std::size_t line = 0;  ///< of the journal, from 1
};

/// A run, from its header to the next one.
struct JournalRun {
  JournalHeader header;
  std::size_t line = 0;                    ///< of the header
  std::vector<JournalDecision> committed;  ///< what was decided to go live, in order
  std::vector<RankId> ended;               ///< ranks that were alive to say how they ended
};

/// A journal read back.
struct Journal {
  std::string source;             ///< what to call it in errors
  std::vector<JournalRun> runs;   ///< empty: nothing has happened
  int version = kJournalVersion;  ///< of its oldest run
  std::uint64_t whole_bytes = 0;  ///< up to the last newline; what follows a crash cut off
};

/// Reads all of `text`. A last line without its newline has not happened: who wrote it had not yet
/// acted on it. Every other line must be sound, after the line before it, and about the run it lies
/// in. Whole lines missing at the end look like a crash before they were written: nobody can tell.
/// Runs of older versions are read as well: of version 2 (each line with a check of itself: lines
/// dropped, doubled or moved pass) and of version 1 (no checks, a decision being any rank's "voted"
/// or "committed").
/// @throws InputError "source:line: ...".
[[nodiscard]] Journal read_journal(std::string_view text, const std::string& source);

/// What a journal of an older version leaves open, in a sentence; empty for one of today's.
[[nodiscard]] std::string doubt_of(const Journal& journal);

}  // namespace moeshift
