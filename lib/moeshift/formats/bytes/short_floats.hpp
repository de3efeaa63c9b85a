// SPDX-License-Identifier: Apache-2.0
// Floating point numbers of 16 bits, which C++20 has no type for.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace moeshift {

/// IEEE 754 binary16: 5 bits of exponent, 10 of fraction.
[[nodiscard]] inline double half_value(std::uint16_t bits) {
  const int exponent = (bits >> 10U) & 0x1FU;
  const double fraction = bits & 0x3FFU;
  const double sign = (bits & 0x8000U) != 0 ? -1 : 1;
  if (exponent == 0) return sign * std::ldexp(fraction, -24);
  if (exponent == 0x1F) {
    return fraction == 0 ? sign * std::numeric_limits<double>::infinity()
                         : std::numeric_limits<double>::quiet_NaN();
  }
  return sign * std::ldexp(1024 + fraction, exponent - 25);
}

/// bfloat16: the upper half of a float.
[[nodiscard]] inline double bfloat_value(std::uint16_t bits) {
  return static_cast<double>(std::bit_cast<float>(std::uint32_t{bits} << 16U));
}

}  // namespace moeshift
