// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/cli/atomic_file.hpp"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <streambuf>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "moeshift/core/error.hpp"

#include "apps/moeshift/cli/interrupt.hpp"
#include "apps/moeshift/cli/waiting_file.hpp"

namespace moeshift::cli {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(const std::string& path) {
  throw InputError(path, fmt::format("cannot be written: {}", std::strerror(errno)));
}

/// Writes to a descriptor that somebody else owns.
class DescriptorBuffer final : public std::streambuf {
 public:
  explicit DescriptorBuffer(int file) : file_(file) { setp(room_.data(), room_.data() + kRoom); }

 protected:
  int_type overflow(int_type letter) override {
    if (sync() != 0) return traits_type::eof();
    if (traits_type::eq_int_type(letter, traits_type::eof())) return traits_type::not_eof(letter);
    *pptr() = traits_type::to_char_type(letter);
    pbump(1);
    return letter;
  }
  int sync() override {
    const char* from = pbase();
    while (from < pptr()) {
      const ssize_t written = ::write(file_, from, static_cast<std::size_t>(pptr() - from));
      if (written < 0 && errno == EAGAIN) wait_until_ready(file_, POLLOUT);
      if (written < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      if (written < 0) return -1;
      from += written;
    }
    setp(room_.data(), room_.data() + kRoom);
    return 0;
  }

 private:
  static constexpr std::size_t kRoom = 1 << 16;
  int file_;
  std::array<char, kRoom> room_;
};

/// A new file in the folder of `path` under a name that nobody can guess or has; it goes away again
/// unless it is put in the place of `path`.
class NewFile {
 public:
  explicit NewFile(const std::string& path)
      : folder_(fs::path(path).parent_path()), name_((folder_ / ".moeshift-XXXXXX").string()) {
    file_ = ::mkostemp(name_.data(), O_CLOEXEC);
    if (file_ < 0) refuse(path);
    unfinished_.emplace(name_);
  }
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;
  ~NewFile() {
    ::close(file_);
    if (!placed_) ::unlink(name_.c_str());
  }

  [[nodiscard]] int descriptor() const { return file_; }

  /// The mode of the file that it replaces, or what the user's mask leaves of rw-rw-rw-.
  void take_mode_of(const std::string& path) {
    struct stat older{};
    if (::lstat(path.c_str(), &older) == 0 && S_ISREG(older.st_mode)) {
      if (::fchmod(file_, older.st_mode & 07777U) != 0) refuse(path);
      return;
    }
    const mode_t mask = ::umask(0);
    ::umask(mask);
    if (::fchmod(file_, 0666U & ~mask) != 0) refuse(path);
  }

  /// On the disk, then under its name, then the name on the disk.
  void put_at(const std::string& path) {
    if (::fsync(file_) != 0 && errno != EINVAL && errno != EROFS) refuse(path);
    if (std::rename(name_.c_str(), path.c_str()) != 0) refuse(path);
    placed_ = true;
    unfinished_.reset();
    const int folder =
        ::open(folder_.empty() ? "." : folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return;  // a folder that may be written to and not read
    ::fsync(folder);
    ::close(folder);
  }

 private:
  fs::path folder_;
  std::string name_;
  int file_ = -1;
  bool placed_ = false;
  std::optional<UnfinishedFile> unfinished_;
};

void write_body(int file, const std::string& path, const std::function<void(std::ostream&)>& body) {
  DescriptorBuffer buffer(file);
  std::ostream out(&buffer);
  body(out);
  if (!out.flush()) refuse(path);
}

/// "/dev/stdout", "/dev/fd/5": a descriptor of this process that somebody opened for us.
bool names_a_descriptor(const std::string& path) {
  const std::string folder = fs::path(path).parent_path().string();
  return path == "/dev/stdout" || path == "/dev/stderr" || folder == "/dev/fd" ||
         folder == "/proc/self/fd";
}

/// A pipe or a device cannot be replaced: it is written to as it is.
bool is_written_straight(const std::string& path) {
  if (names_a_descriptor(path)) return true;
  struct stat found{};
  return ::stat(path.c_str(), &found) == 0 && !S_ISREG(found.st_mode);
}

bool is_fifo(const std::string& path) {
  struct stat found{};
  return ::stat(path.c_str(), &found) == 0 && S_ISFIFO(found.st_mode) && !names_a_descriptor(path);
}

/// Where a file is, or will be once it is made.
fs::path whole_path(const std::string& path) {
  std::error_code unknown;
  fs::path whole = fs::absolute(path, unknown);
  constexpr int kLongestChain = 40;  // of links, as the system's
  for (int link = 0; link < kLongestChain && fs::is_symlink(whole, unknown); ++link) {
    whole = whole.parent_path() / fs::read_symlink(whole, unknown);
  }
  return fs::weakly_canonical(whole, unknown);
}

}  // namespace

void write_atomically(const std::string& path, const std::function<void(std::ostream&)>& body) {
  if (is_written_straight(path)) {
    const int file = is_fifo(path) ? open_fifo_for_writing(path)
                                   : ::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (file < 0) refuse(path);
    const std::unique_ptr<const int, void (*)(const int*)> closed(
        &file, [](const int* f) { ::close(*f); });
    write_body(file, path, body);
    return;
  }
  NewFile file(path);
  write_body(file.descriptor(), path, body);
  file.take_mode_of(path);
  file.put_at(path);
}

bool is_same_file(const std::string& one, const std::string& other) {
  std::error_code unknown;
  return whole_path(one) == whole_path(other) || fs::equivalent(one, other, unknown);
}

}  // namespace moeshift::cli
