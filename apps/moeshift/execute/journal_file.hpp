// SPDX-License-Identifier: Apache-2.0
// The journal as a file: one line per event, appended as it happens, locked against a second run.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "moeshift/execute/journal/journal.hpp"

namespace moeshift::cli {

/// What the journal is opened for.
enum class JournalUse {
  kStart,   ///< a new rearrangement: an existing unfinished journal is refused
  kResume,  ///< go on where the journal ends
  kJoin,    ///< another process of a world whose leader holds the lock
};

class JournalFile final : public JournalSink {
 public:
  /// Opens and, unless joining, locks the file until this object goes away (or the process dies).
  /// @throws DeviceError when another process holds the lock, InputError when the file cannot be
  ///         opened.
  JournalFile(std::string path, JournalUse use);
  ~JournalFile() override;

  /// What the file holds already; only when resuming.
  [[nodiscard]] Journal read() const;
  void start(const JournalHeader& header);

  void record(const JournalRecord& record) override;
  void end(RankId rank, const std::string& outcome) override;

 private:
  void append(std::string line);

  std::string path_;
  int file_ = -1;
  std::mutex mutex_;
};

}  // namespace moeshift::cli
