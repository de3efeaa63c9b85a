// SPDX-License-Identifier: Apache-2.0
// Progress for people: a bar on a terminal, a line every ten seconds elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include "moeshift/core/progress.hpp"

namespace moeshift::cli {

/// Draws on standard error once a call has lasted a second; clears itself when destroyed.
class ProgressBar final : public Progress {
 public:
  explicit ProgressBar(bool quiet);
  ~ProgressBar() override;

  void update(std::string_view what, std::uint64_t done, std::uint64_t total) override;
  [[nodiscard]] bool interrupted() const override;
  /// Wipes the bar so that a line of text can be printed.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;

  void draw(std::string_view what, std::uint64_t done, std::uint64_t total, Clock::time_point now);

  std::mutex mutex_;
  bool quiet_;
  bool terminal_;
  bool drawn_ = false;
  std::string what_;
  Clock::time_point began_;
  Clock::time_point last_drawn_;
};

}  // namespace moeshift::cli
