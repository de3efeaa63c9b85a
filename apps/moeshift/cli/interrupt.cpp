// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/cli/interrupt.hpp"

#include <atomic>
#include <csignal>

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

}  // namespace moeshift::cli
