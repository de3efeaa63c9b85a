// SPDX-License-Identifier: Apache-2.0
// What is wrong with a schedule, and how it comes about.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "moeshift/core/ids.hpp"

namespace moeshift {

/// In the order in which they are told: what comes first makes what comes later happen.
enum class FindingKind : std::uint8_t {
  kBadPlace,         ///< a slot or buffer that does not exist, or bytes beyond it
  kUnmatched,        ///< a send nobody receives, a receive nobody sends, a meeting some skip
  kSizeMismatch,     ///< the two ends of a message disagree on its bytes
  kTooManyMessages,  ///< more messages of a pair in one call than the library allows
  kCallsDiffer,      ///< what one call sends, several calls receive, or the other way round
  kNeverRecorded,    ///< a wait for an event that nothing has recorded: it does not wait
  kDeadlock,         ///< ranks wait for each other for ever
  kSideBySide,       ///< two communicators that two ranks may serve in opposite order
  kOverwritten,      ///< a source is written while, or before, it is read
  kHalfWritten,      ///< a place is read while, or before, it is written
  kWrittenTwice,     ///< two writes of one place in no order
  kLiveBeforeVote,   ///< a live slot is written before every rank has staged
  kWrongResult,      ///< a slot ends without the expert that was wanted
  kTooMuchMemory,    ///< more staging memory than was stated
};

/// "deadlock", "overwritten", ...: the key in files.
[[nodiscard]] std::string_view name_of(FindingKind kind);

/// A line of a counterexample: what a rank does, in the order in which it happens.
struct TimelineStep {
  RankId rank;
  std::string stream;
  std::string does;
};

struct Finding {
  FindingKind kind = FindingKind::kDeadlock;
  RankId rank;                         ///< where it shows
  LayerId layer = LayerId::none();     ///< none() where no layer is named
  std::string text;                    ///< one sentence
  std::vector<TimelineStep> timeline;  ///< the shortest that was found
  /// Calls that must have happened before; they are left out of the timeline.
  std::size_t calls_before = 0;
};

inline constexpr std::size_t kFindingKinds = 14;

/// Counts findings, and keeps the shortest few of each kind: one mistake may show ten thousand
/// times.
class FindingLog {
 public:
  static constexpr std::size_t kKept = 4;  ///< of a kind

  /// Counts one. @return whether it is short enough to be written down and given to keep().
  [[nodiscard]] bool count(FindingKind kind, std::size_t calls_before = 0);
  void keep(Finding finding);

  [[nodiscard]] std::size_t count_of(FindingKind kind) const {
    return counts_[static_cast<std::size_t>(kind)];
  }
  [[nodiscard]] bool empty() const;
  /// By kind, then the shortest first.
  [[nodiscard]] std::vector<Finding> findings() const;

 private:
  std::array<std::size_t, kFindingKinds> counts_{};
  std::array<std::vector<Finding>, kFindingKinds> kept_;
};

}  // namespace moeshift
