// SPDX-License-Identifier: Apache-2.0
// Progress for people: a bar on a terminal, a line every ten seconds elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "moeshift/core/progress.hpp"
#include "moeshift/core/units.hpp"

namespace moeshift::cli {

/// Draws on standard error once a call has lasted a second; clears itself when destroyed. Of two
/// things that go on at once it shows the one that it showed first.
class ProgressBar final : public Progress {
 public:
  explicit ProgressBar(bool quiet);
  ~ProgressBar() override;

  /// @throws InterruptedError after Ctrl-C.
  void update(std::string_view what, std::uint64_t done, std::uint64_t total) override;
  [[nodiscard]] bool interrupted() const override;
  /// Wipes the bar so that a line of text can be printed.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;

  [[nodiscard]] bool due(std::string_view what, Clock::time_point began, Clock::time_point now);
  void draw(std::string_view what, std::uint64_t done, std::uint64_t total, Seconds elapsed);

  std::mutex mutex_;
  bool quiet_;
  bool terminal_;
  bool drawn_ = false;
  std::map<std::string, Clock::time_point, std::less<>> began_;
  std::string shown_;
  Clock::time_point last_drawn_;
};

}  // namespace moeshift::cli
