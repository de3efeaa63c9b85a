// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/progress_bar.hpp"

#include <cstdio>

#include <fmt/format.h>
#include <unistd.h>

#include "apps/moeshift/interrupt.hpp"

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
    : quiet_(quiet),
      terminal_(::isatty(STDERR_FILENO) != 0),
      began_(Clock::now()),
      last_drawn_(began_) {}

ProgressBar::~ProgressBar() {
  clear();
}

bool ProgressBar::interrupted() const {
  return interrupt_requested();
}

void ProgressBar::clear() {
  if (drawn_ && terminal_) std::fputs("\r\033[K", stderr);
  drawn_ = false;
}

void ProgressBar::update(std::string_view what, std::uint64_t done, std::uint64_t total) {
  if (quiet_) return;
  const std::scoped_lock lock(mutex_);
  const Clock::time_point now = Clock::now();
  if (what_ != what) {
    what_ = what;
    began_ = now;
  }
  const auto pause = terminal_ ? 100ms : 10'000ms;
  if (now - began_ < 1s || now - last_drawn_ < pause) return;
  draw(what, done, total, now);
  last_drawn_ = now;
}

void ProgressBar::draw(std::string_view what, std::uint64_t done, std::uint64_t total,
                       Clock::time_point now) {
  const double elapsed = std::chrono::duration<double>(now - began_).count();
  std::string line = fmt::format("{}  {}", what, done);
  if (total > 0 && done > 0) {
    const double share = static_cast<double>(done) / static_cast<double>(total);
    line = fmt::format("{}  {}  {:3.0f} %  ETA {:.0f} s", what, bar(done, total), share * 100,
                       elapsed * (1 - share) / share);
  }
  std::fputs((terminal_ ? "\r\033[K" + line : line + "\n").c_str(), stderr);
  std::fflush(stderr);
  drawn_ = true;
}

}  // namespace moeshift::cli
