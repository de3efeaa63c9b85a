// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/cli/atomic_file.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "moeshift/core/error.hpp"

namespace moeshift::cli {
namespace {

/// Removes the temporary file unless the rename made it permanent.
class TemporaryFile {
 public:
  explicit TemporaryFile(std::string path) : path_(std::move(path)) {}
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    std::error_code ignored;
    if (!kept_) std::filesystem::remove(path_, ignored);
  }
  [[nodiscard]] const std::string& path() const { return path_; }
  void keep() { kept_ = true; }

 private:
  std::string path_;
  bool kept_ = false;
};

[[noreturn]] void refuse(const std::string& path) {
  throw InputError(path, fmt::format("cannot be written: {}", std::strerror(errno)));
}

void sync_to_disk(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  ::fsync(file);
  ::close(file);
}

}  // namespace

void write_atomically(const std::string& path, const std::function<void(std::ostream&)>& body) {
  // A pipe or a device (/dev/stdout, a named pipe) cannot be renamed over: write straight to it.
  std::error_code ignored;
  const auto status = std::filesystem::status(path, ignored);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
    std::ofstream out(path, std::ios::binary);
    if (!out) refuse(path);
    body(out);
    out.flush();
    if (!out) refuse(path);
    return;
  }
  TemporaryFile temporary(fmt::format("{}.{}.tmp", path, ::getpid()));
  std::ofstream out(temporary.path(), std::ios::binary);
  if (!out) refuse(path);
  body(out);
  out.close();
  if (!out) refuse(path);
  sync_to_disk(temporary.path());
  if (std::rename(temporary.path().c_str(), path.c_str()) != 0) refuse(path);
  temporary.keep();
}

}  // namespace moeshift::cli
