// SPDX-License-Identifier: Apache-2.0
// Nothing in execute/ waits for ever: every wait takes one of these.
#pragma once

#include <chrono>

#include "moeshift/core/units.hpp"

namespace moeshift {

using SteadyClock = std::chrono::steady_clock;

/// Seconds since `start`.
[[nodiscard]] inline Seconds since(SteadyClock::time_point start) {
  return Seconds(std::chrono::duration<double>(SteadyClock::now() - start).count());
}

/// A point in time after which waiting is an error.
class Deadline {
 public:
  [[nodiscard]] static Deadline in(Seconds allowance) {
    return Deadline(SteadyClock::now(), allowance);
  }

  [[nodiscard]] bool expired() const { return since(start_) >= allowance_; }
  [[nodiscard]] Seconds allowance() const { return allowance_; }
  [[nodiscard]] Seconds left() const { return allowance_ - since(start_); }

 private:
  Deadline(SteadyClock::time_point start, Seconds allowance)
      : start_(start), allowance_(allowance) {}

  SteadyClock::time_point start_;
  Seconds allowance_;
};

}  // namespace moeshift
