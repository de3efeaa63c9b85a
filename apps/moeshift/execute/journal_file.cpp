// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/execute/journal_file.hpp"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "moeshift/core/error.hpp"

namespace moeshift::cli {

JournalFile::JournalFile(std::string path, JournalUse use) : path_(std::move(path)) {
  const int create = use == JournalUse::kResume ? 0 : O_CREAT;
  file_ = open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | create, 0644);
  if (file_ < 0)
    throw InputError(path_, std::string("cannot open the journal: ") + std::strerror(errno));
  if (use == JournalUse::kJoin) return;
  if (flock(file_, LOCK_EX | LOCK_NB) == 0) {
    if (use == JournalUse::kStart && lseek(file_, 0, SEEK_END) > 0) {
      close(std::exchange(file_, -1));
      throw InputError(path_,
                       "expected a new journal, found one with entries; --resume goes on "
                       "with it, or remove it");
    }
    return;
  }
  close(std::exchange(file_, -1));
  throw DeviceError(path_ + ": another rearrangement is running with this journal");
}

JournalFile::~JournalFile() {
  if (file_ >= 0) close(file_);
}

Journal JournalFile::read() const {
  std::ifstream in(path_);
  if (!in) throw InputError(path_, "cannot read the journal");
  return read_journal(in, path_);
}

void JournalFile::start(const JournalHeader& header) {
  append(journal_line(header));
}

void JournalFile::record(const JournalRecord& record) {
  append(journal_line(record));
}

void JournalFile::end(RankId rank, const std::string& outcome) {
  append(journal_end_line(rank, outcome));
}

/// One write per line, so that lines of several processes never mix.
void JournalFile::append(std::string line) {
  line += '\n';
  const std::lock_guard lock(mutex_);
  const ssize_t written = write(file_, line.data(), line.size());
  if (written != static_cast<ssize_t>(line.size())) {
    throw DeviceError(path_ + ": cannot write the journal: " + std::strerror(errno));
  }
}

}  // namespace moeshift::cli
