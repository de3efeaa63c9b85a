// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/cli/progress_bar.hpp"

#include <cstdio>

#include <fmt/format.h>
#include <unistd.h>

#include "moeshift/core/interrupted.hpp"

#include "apps/moeshift/cli/interrupt.hpp"

namespace moeshift::cli {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kBarWidth = 24;

std::string bar(std::uint64_t done, std::uint64_t total) {
  const std::uint64_t filled = kBarWidth * done / total;
  std::string text;
  for (std::uint64_t i = 0; i < kBarWidth; ++i) text += i < filled ? "█" : "░";
  return text;
}

}  // namespace

ProgressBar::ProgressBar(bool quiet)
    : quiet_(quiet), terminal_(::isatty(STDERR_FILENO) != 0), last_drawn_(Clock::now()) {}

ProgressBar::~ProgressBar() {
  clear();
}

bool ProgressBar::interrupted() const {
  return interrupt_requested();
}

void ProgressBar::clear() {
  const std::scoped_lock lock(mutex_);
  if (drawn_ && terminal_) std::fputs("\r\033[K", stderr);
  drawn_ = false;
}

void ProgressBar::update(std::string_view what, std::uint64_t done, std::uint64_t total) {
  if (interrupted()) throw InterruptedError();
  if (quiet_) return;
  const std::scoped_lock lock(mutex_);
  const Clock::time_point now = Clock::now();
  auto began = began_.find(what);
  if (began == began_.end()) began = began_.emplace(what, now).first;
  if (!due(what, began->second, now)) return;
  draw(what, done, total, Seconds(std::chrono::duration<double>(now - began->second).count()));
  shown_ = what;
  last_drawn_ = now;
}

bool ProgressBar::due(std::string_view what, Clock::time_point began, Clock::time_point now) {
  const auto pause = terminal_ ? 100ms : 10'000ms;
  if (now - began < 1s || now - last_drawn_ < pause) return false;
  const bool other_is_alive = shown_ != what && now - last_drawn_ < 3 * pause;
  return !drawn_ || !other_is_alive;
}

void ProgressBar::draw(std::string_view what, std::uint64_t done, std::uint64_t total,
                       Seconds elapsed) {
  std::string line = fmt::format("{}  {}", what, done);
  if (total > 0 && done > 0) {
    const double share = static_cast<double>(done) / static_cast<double>(total);
    line = fmt::format("{}  {}  {:3.0f} %  ETA {:.0f} s", what, bar(done, total), share * 100,
                       elapsed.count() * (1 - share) / share);
  }
  std::fputs((terminal_ ? "\r\033[K" + line : line + "\n").c_str(), stderr);
  std::fflush(stderr);
  drawn_ = true;
}

}  // namespace moeshift::cli
