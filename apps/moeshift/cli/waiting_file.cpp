// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/cli/waiting_file.hpp"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "moeshift/core/error.hpp"
#include "moeshift/core/interrupted.hpp"

#include "apps/moeshift/cli/interrupt.hpp"

namespace moeshift::cli {
namespace {

/// Between two looks at whether the user wants to stop. A signal that comes between a look and the
/// system call wakes nobody.
constexpr std::chrono::milliseconds kLook(100);

void stop_if_asked() {
  if (interrupt_requested()) throw InterruptedError();
}

}  // namespace

void wait_until_ready(int file, short events) {
  while (true) {
    stop_if_asked();
    pollfd waited{file, events, 0};
    const int ready = ::poll(&waited, 1, static_cast<int>(kLook.count()));
    if (ready > 0 || (ready < 0 && errno != EINTR)) return;
  }
}

int open_fifo_for_writing(const std::string& path) {
  while (true) {
    stop_if_asked();
    const int file = ::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NONBLOCK);
    if (file >= 0 || (errno != ENXIO && errno != EINTR)) return file;
    std::this_thread::sleep_for(kLook);
  }
}

WaitingFile::WaitingFile(const std::string& path) : path_(path) {
  // A fifo that nobody writes to yet opens at once without blocking, and is waited for on reading.
  if (path != "-") file_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (file_ < 0) throw InputError(path, std::string("cannot be read: ") + std::strerror(errno));
  struct stat found{};
  waits_ = ::fstat(file_, &found) != 0 || !S_ISREG(found.st_mode);
}

WaitingFile::~WaitingFile() {
  if (path_ != "-") ::close(file_);
}

std::streamsize WaitingFile::xsgetn(char* to, std::streamsize count) {
  while (true) {
    if (waits_) wait_until_ready(file_, POLLIN);
    const ssize_t got = ::read(file_, to, static_cast<std::size_t>(count));
    if (got >= 0) return got;
    if (errno == EINTR || errno == EAGAIN) continue;
    throw InputError(path_, std::string("reading failed: ") + std::strerror(errno));
  }
}

WaitingFile::int_type WaitingFile::underflow() {
  const std::streamsize got = xsgetn(small_.data(), static_cast<std::streamsize>(small_.size()));
  if (got == 0) return traits_type::eof();
  setg(small_.data(), small_.data(), small_.data() + got);
  return traits_type::to_int_type(small_.front());
}

}  // namespace moeshift::cli
