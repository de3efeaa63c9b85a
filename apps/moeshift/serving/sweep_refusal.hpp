// SPDX-License-Identifier: Apache-2.0
// Combinations of a sweep that cannot be, and why.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "moeshift/core/units.hpp"
#include "moeshift/model/moe_model.hpp"
#include "moeshift/simulate/sweep.hpp"

namespace moeshift::cli {

/// A combination that cannot be, and why.
struct Refused {
  SweepPoint point;
  std::string reason;
};

/// Why a point cannot be: slots that do not divide or do not suffice, more memory than `limit`.
[[nodiscard]] std::optional<std::string> shape_refusal(const SweepPoint& point,
                                                       const MoeModel& model, std::size_t buffers,
                                                       Bytes limit);

}  // namespace moeshift::cli
