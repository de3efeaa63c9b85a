// SPDX-License-Identifier: Apache-2.0
// Progress for people: one bar per command on a terminal, few lines elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "moeshift/core/progress.hpp"
#include "moeshift/core/units.hpp"

namespace moeshift::cli {

/// A part of a command, in the order in which they come.
struct Phase {
  std::string name;  ///< what updates of it begin with
  double share = 1;  ///< of the command's time, as far as one can say beforehand
};

/// How far a command is, from what its callees tell: never back, and never whole before the end.
class CommandProgress {
 public:
  explicit CommandProgress(std::vector<Phase> phases) : phases_(std::move(phases)) {}

  /// @return whether the update is of one of the phases (all are, where none were named).
  bool tell(std::string_view what, std::uint64_t done, std::uint64_t total);
  /// [0, 0.99]; 0 while nothing is known of a total.
  [[nodiscard]] double share() const { return share_; }

 private:
  std::vector<Phase> phases_;
  std::string only_;  ///< without phases: what was told first
  std::size_t phase_ = 0;
  double share_ = 0;
};

/// Draws on standard error once a command has lasted a second; clears itself when destroyed. Where
/// nobody watches, a line after ten seconds, and then each time that as long again has passed.
class ProgressBar final : public Progress {
 public:
  explicit ProgressBar(bool quiet);
  ~ProgressBar() override;

  /// What the command is made of; updates of other names are not shown.
  void expect(std::vector<Phase> phases);
  /// @throws InterruptedError after Ctrl-C.
  void update(std::string_view what, std::uint64_t done, std::uint64_t total) override;
  [[nodiscard]] bool interrupted() const override;
  /// Wipes the bar so that a line of text can be printed.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;

  [[nodiscard]] bool due(Clock::time_point now);
  void draw(std::string_view what, std::uint64_t done, Seconds elapsed);

  std::mutex mutex_;
  bool quiet_;
  bool terminal_;
  bool drawn_ = false;
  CommandProgress command_{{}};
  Clock::time_point began_;
  Clock::time_point last_drawn_;
  Clock::duration pause_;
};

}  // namespace moeshift::cli
