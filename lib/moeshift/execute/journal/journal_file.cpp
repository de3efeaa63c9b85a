// SPDX-License-Identifier: Apache-2.0
#include "moeshift/execute/journal/journal_file.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <thread>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "moeshift/core/error.hpp"
#include "moeshift/core/json_reader.hpp"

namespace moeshift {
namespace {

/// Journals stay far below: a line has some 100 characters, a rank writes four per layer.
constexpr std::uint64_t kLargestJournal = std::uint64_t{1} << 30;

/// Bytes of the last line's end that are looked at: more than its check and newline.
constexpr std::uint64_t kSeen = 64;

/// Among processes: one writes at a time. Dropped by the system when its holder dies.
class Pen {
 public:
  /// @throws DeviceError when nobody gives it up in time (a stopped process keeps it).
  Pen(int file, Seconds patience, const std::string& path) : file_(file) {
    for (const Deadline deadline = Deadline::in(patience); !set(F_WRLCK);) {
      if (deadline.expired()) {
        throw DeviceError(path + ": another process of this run has kept the journal to itself");
      }
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
  }
  Pen(const Pen&) = delete;
  Pen& operator=(const Pen&) = delete;
  ~Pen() { static_cast<void>(set(F_UNLCK)); }

 private:
  [[nodiscard]] bool set(short type) const {
    struct flock all{};
    all.l_type = type;
    all.l_whence = SEEK_SET;
    return fcntl(file_, F_OFD_SETLK, &all) == 0;
  }

  int file_;
};

/// A descriptor that nobody takes for his standard output.
FileDescriptor open_above_talk(const std::string& path, int flags) {
  FileDescriptor file(open(path.c_str(), flags, 0644));
  if (!file.is_open() || file.get() > STDERR_FILENO) return file;
  return FileDescriptor(fcntl(file.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
}

void sync_folder_of(const std::string& path) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  const FileDescriptor opened(
      open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (opened.is_open()) static_cast<void>(fsync(opened.get()));
}

}  // namespace

JournalFile::JournalFile(std::string path, JournalUse use, Seconds patience)
    : path_(std::move(path)), use_(use), patience_(patience) {
  const int create = use == JournalUse::kResume ? 0 : O_CREAT;
  file_ = open_above_talk(path_, O_RDWR | O_APPEND | O_CLOEXEC | O_NONBLOCK | create);
  if (!file_.is_open()) {
    throw refuse(std::string("cannot open the journal: ") + std::strerror(errno));
  }
  struct stat status{};
  if (fstat(file_.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    throw refuse("a journal must be a regular file");
  }
  if (use == JournalUse::kJoin) return;
  if (flock(file_.get(), LOCK_EX | LOCK_NB) != 0) {
    throw DeviceError(path_ + ": another rearrangement is running with this journal");
  }
  if (use == JournalUse::kStart && !read().runs.empty()) {
    throw UsedJournal(path_, "expected a new journal, found one with entries: resume or remove it");
  }
}

InputError JournalFile::refuse(const std::string& why) const {
  return InputError(path_, why);
}

DeviceError JournalFile::broken(const char* doing) const {
  return DeviceError(path_ + ": cannot " + doing + " the journal: " + std::strerror(errno));
}

Journal JournalFile::read() const {
  struct stat status{};
  if (fstat(file_.get(), &status) != 0) throw refuse("cannot read the journal");
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (size > kLargestJournal) throw refuse("larger than any journal (1 GiB)");
  return read_journal(text(0, size), path_);
}

void JournalFile::start(JournalHeader run) {
  const std::lock_guard lock(mutex_);
  run_ = std::move(run);
  if (use_ == JournalUse::kJoin) return;
  const Journal before = read();
  run_.run = before.runs.size() + 1;
  cut_to(before.whole_bytes);
  write_whole(header_line(run_));
  seen_ = whole_size();
  synced_ = 0;
  sync(seen_);
  sync_folder_of(path_);
  joined_ = true;
  // From now on the others of this world may hold it too; nobody else can.
  if (flock(file_.get(), LOCK_SH) != 0) throw broken("lock");
}

/// The leader has written the header before this rank had anything to write.
void JournalFile::join() {
  if (joined_) return;
  for (const Deadline deadline = Deadline::in(patience_);
       flock(file_.get(), LOCK_SH | LOCK_NB) != 0;) {
    if (deadline.expired()) throw DeviceError(path_ + ": another run has taken this journal");
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  const Journal journal = read();
  if (journal.runs.empty() || journal.runs.back().header.plan != run_.plan) {
    throw DeviceError(path_ + ": the journal is about another run than rank 0's");
  }
  run_ = journal.runs.back().header;
  joined_ = true;
}

void JournalFile::reached(const LayerStep& step) {
  append([&] { return step_line(run_, step); });
}

void JournalFile::ended(RankId rank, const std::optional<Failure>& failure) {
  // Who fails before there is a run has nothing to say here.
  const bool setting_up = failure && failure->phase == Phase::kSetup;
  if (!joined_ && setting_up) return;
  append([&] { return end_line(run_, rank, failure ? failure->message() : "complete"); });
  const std::lock_guard lock(mutex_);
  sync(whole_size());
}

Verdict JournalFile::decide(const Ballot& ballot, Verdict wanted) {
  const std::lock_guard lock(mutex_);
  join();
  const std::pair<LayerId, std::size_t> subject = ballot.parts.front();
  std::uint64_t end = 0;
  {
    const Pen pen(file_.get(), patience_, path_);
    cut_to(whole_size());
    read_news(whole_size());
    if (!decided_.contains(subject)) {
      write_whole(decision_line(run_, ballot, wanted));
      read_news(whole_size());
    }
    end = seen_;
  }
  sync(end);
  return decided_.at(subject);
}

/// @param object made once the number of the run is known.
void JournalFile::append(const std::function<std::string()>& object) {
  const std::lock_guard lock(mutex_);
  join();
  const Pen pen(file_.get(), patience_, path_);
  cut_to(whole_size());
  write_whole(object());
}

/// Sealed after the last line, which any process of the world may have written: whoever calls holds
/// the pen. All of it or, should the disk be full, nothing.
void JournalFile::write_whole(std::string object) {
  const std::uint64_t before = whole_size();
  const std::string end = text(before - std::min(before, kSeen), before);
  const std::string_view last = std::string_view(end).substr(0, end.size() - (end.empty() ? 0 : 1));
  const std::string line = sealed(std::move(object), check_of(last)) + "\n";
  const ssize_t written = write(file_.get(), line.data(), line.size());
  if (written == static_cast<ssize_t>(line.size())) return;
  const DeviceError error = broken("write");
  cut_to(before);
  throw error;
}

/// Takes away what a process that died has begun to write.
void JournalFile::cut_to(std::uint64_t bytes) {
  struct stat status{};
  const bool longer =
      fstat(file_.get(), &status) == 0 && static_cast<std::uint64_t>(status.st_size) > bytes;
  if (longer && ftruncate(file_.get(), static_cast<off_t>(bytes)) != 0) throw broken("mend");
}

/// Up to the end of the last whole line.
std::uint64_t JournalFile::whole_size() const {
  struct stat status{};
  if (fstat(file_.get(), &status) != 0) throw broken("read");
  auto size = static_cast<std::uint64_t>(status.st_size);
  while (size > 0) {
    const std::uint64_t from = size > 4096 ? size - 4096 : 0;
    const std::string tail = text(from, size);
    const std::size_t newline = tail.rfind('\n');
    if (newline != std::string::npos) return from + newline + 1;
    size = from;
  }
  return 0;
}

std::string JournalFile::text(std::uint64_t from, std::uint64_t to) const {
  std::string bytes(to - from, '\0');
  std::size_t got = 0;
  while (got < bytes.size()) {
    const ssize_t count =
        pread(file_.get(), bytes.data() + got, bytes.size() - got, static_cast<off_t>(from + got));
    if (count == 0) break;
    if (count < 0 && errno != EINTR) throw broken("read");
    if (count > 0) got += static_cast<std::size_t>(count);
  }
  bytes.resize(got);
  return bytes;
}

/// Learns of the decisions that other processes have written meanwhile.
void JournalFile::read_news(std::uint64_t end) {
  const std::string news = text(seen_, end);
  for (std::size_t start = 0; start < news.size();) {
    const std::size_t newline = news.find('\n', start);
    const std::string_view line = std::string_view(news).substr(start, newline - start);
    start = newline + 1;
    if (line.find("\"decision\":") == std::string_view::npos) continue;
    const nlohmann::ordered_json document = parse_json(line, path_);
    const JsonReader json(document, path_);
    if (json.at("run").whole() != static_cast<std::int64_t>(run_.run)) continue;
    const bool commit = json.at("decision").string() == "commit";
    for (const JsonReader& part : json.at("parts").items()) {
      decided_[{LayerId(part.at(0).whole()), static_cast<std::size_t>(part.at(1).whole())}] =
          commit ? Verdict::kCommit : Verdict::kWithdraw;
    }
  }
  seen_ = end;
}

void JournalFile::sync(std::uint64_t up_to) {
  if (up_to <= synced_) return;
  if (fdatasync(file_.get()) != 0) throw broken("sync");
  synced_ = up_to;
}

}  // namespace moeshift
