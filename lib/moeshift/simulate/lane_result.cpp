// SPDX-License-Identifier: Apache-2.0
#include "moeshift/simulate/lane_result.hpp"

#include <cmath>

namespace moeshift {

std::optional<double> RearrangementRecord::break_even_steps() const {
  if (steps_in_force == 0 || gained <= Seconds()) return std::nullopt;
  return ratio(exposed, gained / static_cast<double>(steps_in_force));
}

double LaneResult::tokens_per_second() const {
  const Seconds time = step_times.sum();
  return time > Seconds() ? tokens / time.count() : 0;
}

std::uint64_t LaneResult::tokens_per_step() const {
  return steps == 0 ? 0
                    : static_cast<std::uint64_t>(std::llround(tokens / static_cast<double>(steps)));
}

}  // namespace moeshift
