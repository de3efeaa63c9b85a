// SPDX-License-Identifier: Apache-2.0
// Counters that are written down without being set back.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace moeshift {

/// Makes of the totals `now` what was counted since `before`. Where any of them fell the counter
/// began anew, and all stay as they are.
/// @return whether it began anew.
bool take_difference(std::span<const double> before, std::span<double> now);

/// What is to be said of steps made of running totals: before the first there is none, so that it
/// holds all that was counted until then.
class FirstTotal {
 public:
  /// @param tokens of the next step, after the difference was taken.
  void add(double tokens);
  /// A line; empty without steps.
  [[nodiscard]] std::string note() const;

 private:
  std::size_t steps_ = 0;
  double first_ = 0;
  double largest_of_others_ = 0;
};

}  // namespace moeshift
