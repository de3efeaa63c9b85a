// SPDX-License-Identifier: Apache-2.0
#include "apps/moeshift/cli/progress_bar.hpp"

#include <algorithm>
#include <cstdio>
#include <numeric>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

#include "moeshift/core/interrupted.hpp"

#include "apps/moeshift/cli/interrupt.hpp"

namespace moeshift::cli {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kBarWidth = 24;
/// What comes after the last update (the answer is made and written) takes time, too.
constexpr double kMostShown = 0.99;

std::string bar(double share) {
  const auto filled = static_cast<std::size_t>(share * static_cast<double>(kBarWidth));
  std::string text;
  for (std::size_t i = 0; i < kBarWidth; ++i) text += i < filled ? "█" : "░";
  return text;
}

/// "42 s", "3 min": nobody knows it better.
std::string rough(Seconds seconds) {
  constexpr double kMinute = 60;
  if (seconds.count() < 3 * kMinute) return fmt::format("{:.0f} s", seconds.count());
  return fmt::format("{:.0f} min", seconds.count() / kMinute);
}

}  // namespace

bool CommandProgress::tell(std::string_view what, std::uint64_t done, std::uint64_t total) {
  const double part =
      total == 0 ? 0 : std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
  if (phases_.empty()) {
    const std::string_view kind = what.substr(0, what.find(' '));  // "reading" of any file
    if (only_.empty()) only_ = kind;
    if (only_ != kind) return false;
    share_ = std::max(share_, std::min(part, kMostShown));
    return true;
  }
  const auto now = std::find_if(phases_.begin(), phases_.end(),
                                [&](const Phase& phase) { return what.starts_with(phase.name); });
  if (now == phases_.end()) return false;
  const auto index = static_cast<std::size_t>(now - phases_.begin());
  if (index < phase_) return false;  // what is over does not begin again
  phase_ = index;
  const auto sum = [](double whole, const Phase& phase) { return whole + phase.share; };
  const double whole = std::accumulate(phases_.begin(), phases_.end(), 0.0, sum);
  const double before = std::accumulate(phases_.begin(), now, 0.0, sum);
  share_ = std::max(share_, std::min((before + part * now->share) / whole, kMostShown));
  return true;
}

ProgressBar::ProgressBar(bool quiet)
    : quiet_(quiet),
      terminal_(::isatty(STDERR_FILENO) != 0),
      began_(Clock::now()),
      last_drawn_(began_),
      pause_(terminal_ ? Clock::duration(100ms) : Clock::duration(10s)) {}

ProgressBar::~ProgressBar() {
  clear();
}

void ProgressBar::expect(std::vector<Phase> phases) {
  const std::scoped_lock lock(mutex_);
  command_ = CommandProgress(std::move(phases));
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
  if (!command_.tell(what, done, total) || !due(now)) return;
  draw(what, done, Seconds(std::chrono::duration<double>(now - began_).count()));
  last_drawn_ = now;
  if (!terminal_) pause_ *= 2;
}

bool ProgressBar::due(Clock::time_point now) {
  return now - began_ >= 1s && now - last_drawn_ >= pause_;
}

void ProgressBar::draw(std::string_view what, std::uint64_t done, Seconds elapsed) {
  std::string line = fmt::format("{}  {}", what, done);
  if (const double share = command_.share(); share > 0) {
    line = fmt::format("{}  {}  {:3.0f} %  ETA {}", what, bar(share), share * 100,
                       rough(elapsed * ((1 - share) / share)));
  }
  std::fputs((terminal_ ? "\r\033[K" + line : line + "\n").c_str(), stderr);
  std::fflush(stderr);
  drawn_ = true;
}

}  // namespace moeshift::cli
