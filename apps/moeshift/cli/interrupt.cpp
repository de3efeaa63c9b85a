// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/cli/interrupt.hpp"

#include <array>
#include <atomic>
#include <csignal>
#include <cstring>
#include <ctime>
#include <string_view>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "apps/moeshift/cli/command.hpp"

namespace moeshift::cli {
namespace {

std::atomic<bool> requested{false};
static_assert(std::atomic<bool>::is_always_lock_free, "set in a signal handler");

// What follows is used in signal handlers: no memory, no locks.

constexpr itimerspec kPatience{.it_interval = {},
                               .it_value = {.tv_sec = 0, .tv_nsec = 600'000'000}};
std::atomic<bool> impatient{false};
timer_t patience;

struct Unfinished {
  std::atomic<bool> taken{false};
  std::atomic<bool> named{false};
  std::array<char, 1024> name{};
};
std::array<Unfinished, 8> unfinished;

void on_signal(int signal_number) {
  requested.store(true);
  std::signal(signal_number, SIG_DFL);
  if (impatient.load()) timer_settime(patience, 0, &kPatience, nullptr);
}

void say(std::string_view text) {
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
}

void on_patience_over(int /*signal_number*/) {
  if (!impatient.load()) return;
  for (const Unfinished& file : unfinished) {
    if (file.named.load()) ::unlink(file.name.data());
  }
  if (::isatty(STDERR_FILENO) != 0) say("\r\033[K");  // a bar
  say("moeshift: stopped: interrupted\n");
  ::_exit(static_cast<int>(ExitCode::kInterrupted));
}

}  // namespace

void watch_interrupt() {
  sigevent event{};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGALRM;
  std::signal(SIGALRM, on_patience_over);
  if (::timer_create(CLOCK_MONOTONIC, &event, &patience) == 0) impatient.store(true);
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
  // A launcher of ranks holds them back until here.
  sigset_t stops;
  sigemptyset(&stops);
  sigaddset(&stops, SIGINT);
  sigaddset(&stops, SIGTERM);
  sigprocmask(SIG_UNBLOCK, &stops, nullptr);
}

void take_time_to_end() {
  impatient.store(false);
}

UnfinishedFile::UnfinishedFile(const std::string& path) : place_(0) {
  while (place_ < unfinished.size() && unfinished[place_].taken.exchange(true)) ++place_;
  if (place_ == unfinished.size() || path.size() >= unfinished[place_].name.size()) return;
  std::memcpy(unfinished[place_].name.data(), path.c_str(), path.size() + 1);
  unfinished[place_].named.store(true);
}

UnfinishedFile::~UnfinishedFile() {
  if (place_ == unfinished.size()) return;
  unfinished[place_].named.store(false);
  unfinished[place_].taken.store(false);
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
