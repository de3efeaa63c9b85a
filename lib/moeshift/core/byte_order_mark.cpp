// SPDX-License-Identifier: Apache-2.0
#include "moeshift/core/byte_order_mark.hpp"

#include <fmt/format.h>

#include "moeshift/core/error.hpp"

namespace moeshift {
namespace {

using namespace std::string_view_literals;

bool is_plain_text(char c) {
  return (c >= ' ' && c <= '~') || c == '\n' || c == '\r' || c == '\t';
}

/// Whether three characters of two bytes stand there, the plain one of each at `plain`. The length
/// that a safetensors file begins with has zeros from its fifth byte on, so that it is none.
bool is_two_byte_text(std::string_view start, std::size_t plain) {
  if (start.size() < 6) return false;
  for (std::size_t i = 0; i < 6; i += 2) {
    if (!is_plain_text(start[i + plain]) || start[i + 1 - plain] != '\0') return false;
  }
  return true;
}

std::string_view wide_encoding(std::string_view start) {
  if (start.starts_with("\xff\xfe\0\0"sv)) return "UTF-32";
  if (start.starts_with("\0\0\xfe\xff"sv)) return "UTF-32";
  if (start.starts_with("\xff\xfe"sv) && is_two_byte_text(start.substr(2), 0)) return "UTF-16";
  if (start.starts_with("\xfe\xff"sv) && is_two_byte_text(start.substr(2), 1)) return "UTF-16";
  if (is_two_byte_text(start, 0)) return "UTF-16LE";
  if (is_two_byte_text(start, 1)) return "UTF-16BE";
  return "";
}

}  // namespace

std::size_t byte_order_mark(std::string_view start, const std::string& source) {
  if (const std::string_view encoding = wide_encoding(start); !encoding.empty()) {
    throw InputError(source, fmt::format("is text in {} (as PowerShell's '>' writes it); expected "
                                         "UTF-8: iconv -f {} -t UTF-8 OLD > NEW",
                                         encoding, encoding));
  }
  constexpr std::string_view kMark = "\xef\xbb\xbf";
  // A length in binary has a zero there.
  return start.starts_with(kMark) && (start.size() == 3 || start[3] != '\0') ? kMark.size() : 0;
}

}  // namespace moeshift
