// SPDX-License-Identifier: Apache-2.0
// "Did you mean": the known name closest to what was typed.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace moeshift {

/// "; did you mean 'x'?" for one of `known`, or "" when none is close: the shortest that begins
/// with or else contains what was typed (three letters or more; case, '_' and '-' aside: "h200",
/// "DeepSeek-V3"), else the one of which the fewest letters would have to change, at most a third
/// of those typed and at least one. Ties go to the earlier name.
[[nodiscard]] std::string did_you_mean(std::string_view typed,
                                       std::span<const std::string_view> known);

}  // namespace moeshift
