// SPDX-License-Identifier: Apache-2.0
// A time limit as an interruption: the callee ends with the best answer it has.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

#include "moeshift/core/progress.hpp"
#include "moeshift/core/units.hpp"

namespace moeshift::cli {

/// Passes progress on; interrupted once the time is up, or when the one behind it is.
class Deadline final : public Progress {
 public:
  /// Counts from now; without a limit only the progress behind it interrupts.
  Deadline(Progress& behind, std::optional<Seconds> limit) : behind_(behind) {
    if (!limit) return;
    const std::chrono::duration<double> time(limit->count());
    end_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(time);
  }

  void update(std::string_view what, std::uint64_t done, std::uint64_t total) override {
    behind_.update(what, done, total);
  }
  [[nodiscard]] bool interrupted() const override {
    return behind_.interrupted() || (end_ && Clock::now() >= *end_);
  }

 private:
  using Clock = std::chrono::steady_clock;

  Progress& behind_;
  std::optional<Clock::time_point> end_;
};

}  // namespace moeshift::cli
