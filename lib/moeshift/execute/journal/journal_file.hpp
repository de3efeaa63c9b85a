// SPDX-License-Identifier: Apache-2.0
// The journal as a file: one line per event, appended as it happens, locked against a second run.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "moeshift/core/error.hpp"
#include "moeshift/core/units.hpp"
#include "moeshift/execute/deadline.hpp"
#include "moeshift/execute/decision_log.hpp"
#include "moeshift/execute/file_descriptor.hpp"
#include "moeshift/execute/journal/journal.hpp"
#include "moeshift/execute/observer.hpp"

namespace moeshift {

/// A journal that has runs in it, opened as if it were new.
class UsedJournal : public InputError {
  using InputError::InputError;
};

/// What the journal is opened for.
enum class JournalUse {
  kStart,   ///< a new rearrangement: a journal in which something has happened is refused
  kResume,  ///< go on where the journal ends
  kJoin,    ///< another process of a world whose leader has begun the run
};

/// Every process of a world has one; the ranks of a process share it. As long as one of them lives,
/// the file is locked against another run.
///
/// What is on disk when: the header, with the folder's entry, before anything moves; a decision
/// before the rank that asked acts on it; how a rank ended. Other lines may be lost with the power.
class JournalFile final : public ShuffleObserver, public DecisionLog {
 public:
  /// Opens the file, which is a regular one, on a descriptor above 2: those are for talk.
  /// @param patience how long another process of the world may hold the pen.
  /// @throws DeviceError when another run holds the file, InputError when it cannot be used.
  JournalFile(std::string path, JournalUse use, Seconds patience);

  /// What the file holds already.
  /// @throws InputError "path:line: ...".
  [[nodiscard]] Journal read() const;
  /// Says which rearrangement this run is about. The leader cuts off what a crash left unfinished,
  /// and writes the header; the others find it there once they have something to write.
  /// @param run its number is set.
  void start(JournalHeader run);

  void reached(const LayerStep& step) override;
  void ended(RankId rank, const std::optional<Failure>& failure) override;
  [[nodiscard]] Verdict decide(const Ballot& ballot, Verdict wanted) override;

 private:
  [[nodiscard]] InputError refuse(const std::string& why) const;
  [[nodiscard]] DeviceError broken(const char* doing) const;
  void join();
  void append(const std::function<std::string()>& object);
  void write_whole(std::string object);
  void cut_to(std::uint64_t bytes);
  [[nodiscard]] std::uint64_t whole_size() const;
  [[nodiscard]] std::string text(std::uint64_t from, std::uint64_t to) const;
  void read_news(std::uint64_t end);
  void sync(std::uint64_t up_to);

  std::string path_;
  JournalUse use_;
  Seconds patience_;
  FileDescriptor file_;
  std::mutex mutex_;
  JournalHeader run_;
  bool joined_ = false;
  std::uint64_t seen_ = 0;    ///< bytes of the file whose decisions are known
  std::uint64_t synced_ = 0;  ///< bytes of it that are on disk
  std::map<std::pair<LayerId, std::size_t>, Verdict> decided_;  ///< in this run
};

}  // namespace moeshift
