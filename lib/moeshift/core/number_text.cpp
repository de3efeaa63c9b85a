// SPDX-License-Identifier: Apache-2.0
#include "moeshift/core/number_text.hpp"

#include <cstddef>

#include <fmt/format.h>

namespace moeshift {

std::string grouped(std::int64_t n) {
  std::string digits = std::to_string(n);
  const std::size_t first = n < 0 ? 1 : 0;
  for (std::size_t at = digits.size(); at > first + 3; at -= 3) digits.insert(at - 3, ",");
  return digits;
}

std::string counted(std::uint64_t n, std::string_view one, std::string_view many) {
  const std::string number = grouped(static_cast<std::int64_t>(n));
  if (n == 1 || !many.empty()) return fmt::format("{} {}", number, n == 1 ? one : many);
  return fmt::format("{} {}s", number, one);
}

std::string fixed(double value, int digits) {
  std::string text = fmt::format("{:.{}f}", value, digits);
  if (text.find_first_not_of("-0.") == std::string::npos && text[0] == '-') text.erase(0, 1);
  return text;
}

std::string fixed_with_sign(double value, int digits) {
  const std::string text = fixed(value, digits);
  return text[0] == '-' ? text : "+" + text;
}

}  // namespace moeshift
