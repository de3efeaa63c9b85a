// SPDX-License-Identifier: Apache-2.0
// What a rearrangement has done so far, written down as it happens, and read back to finish it.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

#include "moeshift/core/ids.hpp"
#include "moeshift/execute/control_plane.hpp"
#include "moeshift/model/placement.hpp"
#include "moeshift/model/transfer_plan.hpp"

namespace moeshift {

/// One layer of one rank reached a phase.
struct JournalRecord {
  RankId rank;
  LayerId layer;
  std::size_t wave = 0;
  Phase phase = Phase::kPlanned;
  std::uint32_t epoch = 0;  ///< placements this layer has committed on this rank
};

/// Told by the engine as it goes; called from all ranks of a process at once. A record of kVoted
/// is written before the commit it allows begins.
class JournalSink {
 public:
  JournalSink() = default;
  JournalSink(const JournalSink&) = delete;
  JournalSink& operator=(const JournalSink&) = delete;
  virtual ~JournalSink() = default;

  virtual void record(const JournalRecord& record) = 0;
  /// The rank is through, for good or ill.
  virtual void end(RankId rank, const std::string& outcome) = 0;
};

/// The first line of a journal: which rearrangement it is about.
struct JournalHeader {
  std::string old_placement;  ///< SHA-256 of the placement before
  std::string new_placement;  ///< and after
  std::string plan;           ///< TransferPlan::hash
  std::size_t ranks = 0;
};

/// JSON Lines, one object each, without the newline.
[[nodiscard]] std::string journal_line(const JournalHeader& header);
[[nodiscard]] std::string journal_line(const JournalRecord& record);
[[nodiscard]] std::string journal_end_line(RankId rank, const std::string& outcome);

/// A journal read back.
struct Journal {
  JournalHeader header;                ///< of the first run
  std::vector<JournalRecord> decided;  ///< voted for or committed, by any rank
};

/// Reads all of `in`. A last line cut short by a crash is ignored, everything else must be well
/// formed. Later headers (of resumed runs) must be about the same two placements.
/// @throws InputError "source:line: ...".
[[nodiscard]] Journal read_journal(std::istream& in, const std::string& source);

/// SHA-256 over shape and slots.
[[nodiscard]] std::string content_hash(const Placement& placement);

/// Where the experts are after the votes of `journal`: what a resumed run starts from.
///
/// A layer that any rank saw voted for is new everywhere, for the vote was unanimous and the
/// decision stands (two-phase commit: a participant that comes back rolls forward). A rank that
/// died between the vote and its commit has lost its memory anyway, and loads what `next` says.
/// @throws InputError when the journal is about another plan, or the world's shape changes.
[[nodiscard]] Placement placement_after(const Journal& journal, const Placement& old,
                                        const Placement& next, const TransferPlan& plan);

}  // namespace moeshift
