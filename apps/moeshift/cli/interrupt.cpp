// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/cli/interrupt.hpp"

#include <atomic>
#include <csignal>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

namespace moeshift::cli {
namespace {

std::atomic<bool> requested{false};
static_assert(std::atomic<bool>::is_always_lock_free, "set in a signal handler");

void on_signal(int signal_number) {
  requested.store(true);
  std::signal(signal_number, SIG_DFL);
}

}  // namespace

void watch_interrupt() {
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
}

bool interrupt_requested() {
  return requested.load();
}

void outlive_closed_pipes() {
  std::signal(SIGPIPE, SIG_IGN);
}

void keep_talk_apart() {
  for (int file = ::open("/dev/null", O_RDONLY); file >= 0; file = ::open("/dev/null", O_RDONLY)) {
    if (file <= STDERR_FILENO) continue;
    ::close(file);
    return;
  }
}

bool nobody_reads_output() {
  pollfd output{STDOUT_FILENO, 0, 0};
  return ::poll(&output, 1, 0) == 1 && (output.revents & POLLERR) != 0;
}

}  // namespace moeshift::cli
