// SPDX-License-Identifier: Apache-2.0
// Numbers as people read them in a sentence.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace moeshift {

/// "12,345"
[[nodiscard]] std::string grouped(std::int64_t n);

/// A number with its noun: "1 node", "12,345 nodes".
/// @param many the plural where it is not `one` and an s
[[nodiscard]] std::string counted(std::uint64_t n, std::string_view one,
                                  std::string_view many = {});

/// `digits` after the point; what rounds to zero is "0.0" from either side, never "-0.0".
[[nodiscard]] std::string fixed(double value, int digits);
/// The same with its sign: "+1.5", "-1.5", "+0.0".
[[nodiscard]] std::string fixed_with_sign(double value, int digits);

}  // namespace moeshift
