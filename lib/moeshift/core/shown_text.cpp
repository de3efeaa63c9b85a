// SPDX-License-Identifier: Apache-2.0
#include "moeshift/core/shown_text.hpp"

#include <algorithm>
#include <cstdint>

#include <fmt/format.h>

namespace moeshift {
namespace {

struct CodePoint {
  std::uint32_t value = 0;
  std::size_t bytes = 0;  ///< 0 = no UTF-8
};

/// How many bytes a sequence has that begins with `first`; 0 = none begins so.
std::size_t length_of(unsigned char first) {
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first < 0xe0) return 2;
  if (first >= 0xe0 && first < 0xf0) return 3;
  return first >= 0xf0 && first < 0xf5 ? 4 : 0;
}

/// RFC 3629: shortest form, no surrogates, at most U+10FFFF.
CodePoint code_point_at(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  const std::size_t length = length_of(first);
  if (length == 0 || length > text.size()) return {};
  if (length == 1) return {first, 1};
  std::uint32_t value = first & (0x7fU >> length);
  for (const char c : text.substr(1, length - 1)) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte & 0xc0U) != 0x80U) return {};
    value = value << 6U | (byte & 0x3fU);
  }
  constexpr std::uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = value >= 0xd800 && value < 0xe000;
  if (value < kLeast[length] || value > 0x10ffff || surrogate) return {};
  return {value, length};
}

bool is_control(std::uint32_t value) {
  const bool plain = value < 0x20 || (value >= 0x7f && value < 0xa0);
  const bool line = value == 0x2028 || value == 0x2029;
  const bool direction = value == 0x200e || value == 0x200f ||
                         (value >= 0x202a && value <= 0x202e) ||
                         (value >= 0x2066 && value <= 0x2069);
  return plain || line || direction;
}

}  // namespace

std::string shown(std::string_view text, std::size_t most) {
  std::string line;
  for (std::size_t characters = 0; !text.empty(); ++characters) {
    if (characters == most) return line + "...";
    const CodePoint point = code_point_at(text);
    if (point.bytes == 0) {
      line += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[0]));
    } else if (is_control(point.value)) {
      line += point.value < 0x100 ? fmt::format("\\x{:02x}", point.value)
                                  : fmt::format("\\u{:04x}", point.value);
    } else {
      line += text.substr(0, point.bytes);
    }
    text.remove_prefix(std::max<std::size_t>(point.bytes, 1));
  }
  return line;
}

std::string shown_lines(std::string_view text) {
  std::string lines;
  while (true) {
    const std::size_t end = text.find('\n');
    lines += shown(text.substr(0, end), text.size());
    if (end == std::string_view::npos) return lines;
    lines += '\n';
    text.remove_prefix(end + 1);
  }
}

}  // namespace moeshift
