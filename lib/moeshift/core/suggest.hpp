// SPDX-License-Identifier: Apache-2.0
// "Did you mean": the known name closest to what was typed.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace moeshift {

/// "; did you mean 'x'?" for the closest of `known`, or "" when none is close (more than a third
/// of the letters, at least one, would have to change) and none begins with it (three letters or
/// more). Ties go to the earlier name.
[[nodiscard]] std::string did_you_mean(std::string_view typed,
                                       std::span<const std::string_view> known);

}  // namespace moeshift
